"""PSMNet: encode, describe (split prototypes, compute guidance), match (guide, score).

Source: Teng et al., Neurocomputing 597 (2024) 127990. Shapes: see `psmnet.models.tensors`.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.mcam import MultiLevelCrossAttention
from psmnet.models.pooling import class_weights, grid_prototypes, masked_average, masks_at_features
from psmnet.models.position import with_position
from psmnet.models.psm import split, sub_masks
from psmnet.models.scoring import match_prototypes
from psmnet.models.settings import SliceSettings
from psmnet.models.tensors import Features, Prediction, Support


@dataclass(frozen=True)
class PSMNetSettings(SliceSettings):
    """Settings of PSMNet; the preset `paper` has the published values.

    Attributes:
        alignment: weight of the prototype alignment loss in training. The released code multiplies it by 0.
        split_rounds: T of the Prototype Splitting Module; 0 switches splitting off.
        split_foreground: split the foreground too, or only the background.
        minimal_area: feature positions below which a split part stays with its sibling.
        grid: side in feature positions of the background's average-pooled windows in training; 0 for none.
        grid_at_inference: their side at inference; 0 for none.
        weigh_area: increase each prototype's part in the softmax by the logarithm of its area in training.
        weigh_area_at_inference: the same at inference.
        attention: form of cross attention: `text`, `release`, or `off`.
        refine_at_inference: side of the windows of a query's own background that are added to the support's at
            inference, together with its foreground (`scoring.query_prototypes`); 0 for none.
        position_at_inference: weight of a position code beside the features at inference (`position`); 0 for none.
    """

    split_rounds: int = 3
    split_foreground: bool = True
    minimal_area: int = 30
    grid: int = 4
    grid_at_inference: int = 2
    weigh_area: bool = True
    weigh_area_at_inference: bool = False
    attention: Literal["text", "release", "off"] = "off"
    refine_at_inference: int = 0
    position_at_inference: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.split_rounds <= 8, f"split_rounds is {self.split_rounds}", "give 0 to 8")
        require(self.minimal_area >= 1, f"minimal_area is {self.minimal_area}", "give 1 or more")
        for name in ("grid", "grid_at_inference", "refine_at_inference", "position_at_inference"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "give 0 or more")
        require(
            self.attention in ("text", "release", "off"),
            f"attention is {self.attention!r}",
            "give text, release or off",
        )
        require(
            self.attention == "off" or not (self.position_at_inference or self.refine_at_inference),
            f"position_at_inference={self.position_at_inference}, refine_at_inference={self.refine_at_inference} with "
            f"attention={self.attention}, which gives each target its own features",
            "give 0 for both, or attention=off",
        )

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """PSMNet over an encoder of `channels`."""
        return PSMNet(encoder, channels, self)


class PSMNet(nn.Module):
    """Prototype Splitting Module and Multi-level Cross Attention Module over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        channels: C.
        settings: of the method.
    """

    def __init__(self, encoder: nn.Module, channels: int, settings: PSMNetSettings) -> None:
        super().__init__()
        self.encoder = encoder
        form = settings.attention
        self.attention = None if form == "off" else MultiLevelCrossAttention(channels, form)
        self.settings = settings

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w); C + 4 channels with a position code."""
        position = 0 if self.training else self.settings.position_at_inference
        return Features((with_position(self.encoder(images), images, position),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Prototypes and guidance of labelled slices.

        Args:
            features: of N support slices.
            masks: (N, K, H, W), 0..1, one per target.
        """
        (maps,) = features.maps
        masks = masks_at_features(masks, (maps.shape[-2], maps.shape[-1]))
        background_weights, foreground_weights = class_weights(masks)
        settings = self.settings
        part = split(maps, masks, settings.split_rounds, settings.minimal_area)
        count = 2**settings.split_rounds
        if not settings.split_foreground:
            part = part * (foreground_weights == 0)
        local = masked_average(maps, sub_masks(part, foreground_weights, count))
        background = masked_average(maps, sub_masks(part, background_weights, count))
        whole = masked_average(maps, foreground_weights[:, :, None])
        side = settings.grid if self.training else settings.grid_at_inference
        windows = (grid_prototypes(maps, 1 - masks, side),) if side else ()
        guidance = None
        if self.attention is not None:
            guidance = self.attention.describe(maps, foreground_weights, whole.vectors[:, :, 0], local)
        return Support((whole.union(local),), (background, *windows), guidance)

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one support that serves them all."""
        (maps,) = features.maps
        enhanced = maps.flatten(2)[:, None]
        if self.attention is not None and support.guidance is not None:
            enhanced = self.attention.enhance(maps, support.guidance)
        size = (maps.shape[-2], maps.shape[-1])
        stride: int = self.encoder.stride  # type: ignore[assignment]  # nn.Module types its attributes as modules
        settings = self.settings
        weigh_area = settings.weigh_area if self.training else settings.weigh_area_at_inference
        refine = 0 if self.training else settings.refine_at_inference
        return match_prototypes(
            enhanced, support, size, stride, weigh_area=weigh_area, refine=refine, needed=features.needed
        )
