"""PANet: one masked-average prototype a class, cosine x 20.

Source: Wang et al., ICCV 2019, equations 1 and 2 (prototypes), 3 (scores), and the prototype alignment loss of section
3.4, which training computes for every method. The foreground and the background are one average each, where PSMNet
splits them; nothing guides the query's features.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.prototypes import (
    grid_prototypes,
    masked_average,
    masks_at_features,
    masks_under_upsampling,
    match_prototypes,
)
from psmnet.models.settings import MethodSettings
from psmnet.models.tensors import Features, Prediction, Support


@dataclass(frozen=True)
class PANetSettings(MethodSettings):
    """What PANet can be set to.

    Attributes:
        grid: [extra] side in feature positions of average-pooled windows beside the background's prototype; 0 for none.
        weigh_area: [extra] raise each prototype's part in the softmax by the log of its area.
    """

    grid: int = 0
    weigh_area: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.grid >= 0, f"grid is {self.grid}", "give 0 or more")

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """PANet over an encoder."""
        return PANet(encoder, grid=self.grid, weigh_area=self.weigh_area)


class PANet(nn.Module):
    """Single prototypes over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        grid, weigh_area: see PANetSettings.
    """

    def __init__(self, encoder: nn.Module, *, grid: int = 0, weigh_area: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.grid = grid
        self.weigh_area = weigh_area

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """One prototype a class of N slices under masks (N, K, H, W)."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        foreground, background = (
            masked_average(maps, masks_under_upsampling(part, size)[:, :, None]) for part in (masks, 1 - masks)
        )
        windows = (grid_prototypes(maps, 1 - masks_at_features(masks, size), self.grid),) if self.grid else ()
        return Support((foreground,), (background, *windows))

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one that serves them all."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        stride: int = self.encoder.stride  # type: ignore[assignment]  # nn.Module types its attributes as modules
        return match_prototypes(
            maps.flatten(2)[:, None], support, size, stride, weigh_area=self.weigh_area, asked=features.asked
        )
