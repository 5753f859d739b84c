"""ALPNet: adaptive local prototypes, average-pooled windows of a regular grid.

Source: Ouyang et al., ECCV 2020 and IEEE TMI 41 (2022) 1837: equation 2 (windows), 3 (average of the foreground),
4 and 5 (similarities and their softmax-weighted sum). Local prototypes lie on a fixed grid; PSMNet's follow the
support's own segmentation. No cross attention guides the query's features.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.pooling import grid_prototypes, masked_average, masks_at_features, windows_inside
from psmnet.models.scoring import match_prototypes
from psmnet.models.settings import SliceSettings
from psmnet.models.tensors import Features, Prediction, Prototypes, Support


@dataclass(frozen=True)
class ALPNetSettings(SliceSettings):
    """Settings of ALPNet.

    Attributes:
        grid: side of the windows in feature positions in training. A foreground needs at least one whole window of
            this side to get windows of its own, also at inference.
        grid_at_inference: side of the windows at inference.
        weigh_area: [extra] increase each prototype's part in the softmax by the logarithm of its area in training.
        weigh_area_at_inference: [extra] the same at inference.
    """

    grid: int = 4
    grid_at_inference: int = 2
    weigh_area: bool = False
    weigh_area_at_inference: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.grid >= 1, f"grid is {self.grid}", "give 1 or more")
        require(self.grid_at_inference >= 1, f"grid_at_inference is {self.grid_at_inference}", "give 1 or more")

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """ALPNet over an encoder."""
        return ALPNet(encoder, self)


class ALPNet(nn.Module):
    """Grid prototypes over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        settings: of the method.
    """

    def __init__(self, encoder: nn.Module, settings: ALPNetSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Windows of both classes and the foreground's average, of N slices under masks (N, K, H, W)."""
        (maps,) = features.maps
        masks = masks_at_features(masks, (maps.shape[-2], maps.shape[-1]))
        side = self.settings.grid if self.training else self.settings.grid_at_inference
        windows = grid_prototypes(maps, masks, side)
        large = windows_inside(masks, self.settings.grid).any(dim=-1)
        windows = Prototypes(windows.vectors, windows.weights * large[..., None])
        whole = masked_average(maps, masks[:, :, None])
        return Support((whole, windows), (grid_prototypes(maps, 1 - masks, side),))

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one that serves them all."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        stride: int = self.encoder.stride  # type: ignore[assignment]  # nn.Module types its attributes as modules
        weigh_area = self.settings.weigh_area if self.training else self.settings.weigh_area_at_inference
        return match_prototypes(
            maps.flatten(2)[:, None], support, size, stride, weigh_area=weigh_area, needed=features.needed
        )
