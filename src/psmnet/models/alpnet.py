"""ALPNet: adaptive local prototypes, average-pooled windows of a regular grid.

Source: Ouyang et al., ECCV 2020 and IEEE TMI 41 (2022) 1837: equation 2 (windows), 3 (the foreground's average),
4 and 5 (similarities and their softmax-weighted sum). Local prototypes lie on a fixed grid, where PSMNet's follow
the support's own segmentation; nothing guides the query's features.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.prototypes import (
    grid_prototypes,
    masked_average,
    masks_at_features,
    match_prototypes,
    windows_inside,
)
from psmnet.models.settings import MethodSettings
from psmnet.models.tensors import Features, Prediction, Prototypes, Support


@dataclass(frozen=True)
class ALPNetSettings(MethodSettings):
    """What ALPNet can be set to.

    Attributes:
        grid: side of the windows in feature positions while training, and of the test that a foreground is large
            enough for windows of its own.
        grid_in_use: their side in evaluation.
        weigh_area: [extra] raise each prototype's part in the softmax by the log of its area while training.
        weigh_area_in_use: [extra] the same in evaluation.
    """

    grid: int = 4
    grid_in_use: int = 2
    weigh_area: bool = False
    weigh_area_in_use: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.grid >= 1, f"grid is {self.grid}", "give 1 or more")
        require(self.grid_in_use >= 1, f"grid_in_use is {self.grid_in_use}", "give 1 or more")

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """ALPNet over an encoder."""
        return ALPNet(
            encoder,
            grid=self.grid,
            grid_in_use=self.grid_in_use,
            weigh_area=self.weigh_area,
            weigh_area_in_use=self.weigh_area_in_use,
        )


class ALPNet(nn.Module):
    """Grid prototypes over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        grid, grid_in_use, weigh_area, weigh_area_in_use: see ALPNetSettings.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        grid: int = 4,
        grid_in_use: int = 2,
        weigh_area: bool = False,
        weigh_area_in_use: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.grid = grid
        self.grid_in_use = grid_in_use
        self.weigh_area = weigh_area
        self.weigh_area_in_use = weigh_area_in_use

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Windows of both classes and the foreground's average, of N slices under masks (N, K, H, W)."""
        (maps,) = features.maps
        masks = masks_at_features(masks, (maps.shape[-2], maps.shape[-1]))
        side = self.grid if self.training else self.grid_in_use
        windows = grid_prototypes(maps, masks, side)
        large = windows_inside(masks, self.grid).any(dim=-1)
        windows = Prototypes(windows.vectors, windows.weights * large[..., None])
        whole = masked_average(maps, masks[:, :, None])
        return Support((whole, windows), (grid_prototypes(maps, 1 - masks, side),))

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one that serves them all."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        stride: int = self.encoder.stride  # type: ignore[assignment]  # nn.Module types its attributes as modules
        weigh_area = self.weigh_area if self.training else self.weigh_area_in_use
        return match_prototypes(
            maps.flatten(2)[:, None], support, size, stride, weigh_area=weigh_area, asked=features.asked
        )
