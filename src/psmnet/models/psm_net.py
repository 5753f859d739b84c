"""PSMNet: encode, describe (split prototypes, gather guidance), match (guide, score).

Source: Teng et al., Neurocomputing 597 (2024) 127990. Shapes: see `psmnet.models.tensors`.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.mcam import MultiLevelCrossAttention
from psmnet.models.position import with_position
from psmnet.models.prototypes import (
    class_weights,
    grid_prototypes,
    masked_average,
    masks_at_features,
    match_prototypes,
)
from psmnet.models.psm import split, sub_masks
from psmnet.models.settings import MethodSettings
from psmnet.models.tensors import Features, Prediction, Support


@dataclass(frozen=True)
class PSMNetSettings(MethodSettings):
    """What PSMNet can be set to.

    Attributes:
        alignment: the release multiplies the loss by 0.
        split_rounds: T of the Prototype Splitting Module; 0 switches splitting off.
        split_foreground: whether the foreground is split too, or the background alone.
        minimal_area: feature positions below which a split part stays with its sibling.
        grid: side in feature positions of the background's average-pooled windows while training; 0 for none.
        grid_in_use: their side in evaluation; 0 for none.
        weigh_area: raise each prototype's part in the softmax by the log of its area while training.
        weigh_area_in_use: the same in evaluation.
        attention: form of cross attention: `text`, `release`, or `off`.
        refine_in_use: side of the windows of a query's own background that join the support's in evaluation, with its
            own foreground (`prototypes.query_prototypes`); 0 for none.
        position_in_use: weight of a position code beside the features in evaluation (`position`); 0 for none.
    """

    alignment: float = 0.0
    split_rounds: int = 3
    split_foreground: bool = True
    minimal_area: int = 1
    grid: int = 4
    grid_in_use: int = 2
    weigh_area: bool = True
    weigh_area_in_use: bool = False
    attention: Literal["text", "release", "off"] = "text"
    refine_in_use: int = 0
    position_in_use: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.split_rounds <= 8, f"split_rounds is {self.split_rounds}", "give 0 to 8")
        require(self.minimal_area >= 1, f"minimal_area is {self.minimal_area}", "give 1 or more")
        require(self.grid >= 0, f"grid is {self.grid}", "give 0 or more")
        require(self.grid_in_use >= 0, f"grid_in_use is {self.grid_in_use}", "give 0 or more")
        require(
            self.attention in ("text", "release", "off"),
            f"attention is {self.attention!r}",
            "give text, release or off",
        )
        require(self.refine_in_use >= 0, f"refine_in_use is {self.refine_in_use}", "give 0 or more")
        require(self.position_in_use >= 0, f"position_in_use is {self.position_in_use}", "give 0 or more")
        require(
            self.attention == "off" or not (self.position_in_use or self.refine_in_use),
            f"position_in_use={self.position_in_use}, refine_in_use={self.refine_in_use} with "
            f"attention={self.attention}, which gives each target features of its own",
            "give 0 for both, or attention=off",
        )

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """PSMNet over an encoder of `channels`."""
        return PSMNet(
            encoder,
            None if self.attention == "off" else MultiLevelCrossAttention(channels, self.attention),
            split_rounds=self.split_rounds,
            split_foreground=self.split_foreground,
            minimal_area=self.minimal_area,
            grid=self.grid,
            grid_in_use=self.grid_in_use,
            weigh_area=self.weigh_area,
            weigh_area_in_use=self.weigh_area_in_use,
            refine_in_use=self.refine_in_use,
            position_in_use=self.position_in_use,
        )


class PSMNet(nn.Module):
    """Prototype Splitting Module and Multi-level Cross Attention Module over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        attention: cross attention over C channels, or None to match the plain features.
        split_rounds: T; 0 keeps single prototypes.
        split_foreground: split the foreground too, or the background alone.
        minimal_area: feature positions below which a part stays with its sibling.
        grid, grid_in_use: side of the background's average-pooled windows in feature positions, 0 for none.
        weigh_area, weigh_area_in_use: raise each prototype's part in the softmax by the log of its area.
        refine_in_use, position_in_use: see PSMNetSettings.
    """

    def __init__(
        self,
        encoder: nn.Module,
        attention: MultiLevelCrossAttention | None,
        *,
        split_rounds: int = 3,
        split_foreground: bool = True,
        minimal_area: int = 1,
        grid: int = 0,
        grid_in_use: int = 0,
        weigh_area: bool = False,
        weigh_area_in_use: bool = False,
        refine_in_use: int = 0,
        position_in_use: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = attention
        self.split_rounds = split_rounds
        self.split_foreground = split_foreground
        self.minimal_area = minimal_area
        self.grid = grid
        self.grid_in_use = grid_in_use
        self.weigh_area = weigh_area
        self.weigh_area_in_use = weigh_area_in_use
        self.refine_in_use = refine_in_use
        self.position_in_use = position_in_use

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w); C + 4 channels with a position code."""
        return Features((with_position(self.encoder(images), images, 0 if self.training else self.position_in_use),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Prototypes and guidance of labelled slices.

        Args:
            features: of N support slices.
            masks: (N, K, H, W), 0..1, one a target.
        """
        (maps,) = features.maps
        masks = masks_at_features(masks, (maps.shape[-2], maps.shape[-1]))
        background_weights, foreground_weights = class_weights(masks)
        part = split(maps, masks, self.split_rounds, self.minimal_area)
        count = 2**self.split_rounds
        if not self.split_foreground:
            part = part * (foreground_weights == 0)
        local = masked_average(maps, sub_masks(part, foreground_weights, count))
        background = masked_average(maps, sub_masks(part, background_weights, count))
        whole = masked_average(maps, foreground_weights[:, :, None])
        side = self.grid if self.training else self.grid_in_use
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
        weigh_area = self.weigh_area if self.training else self.weigh_area_in_use
        refine = 0 if self.training else self.refine_in_use
        return match_prototypes(
            enhanced, support, size, stride, weigh_area=weigh_area, refine=refine, asked=features.asked
        )
