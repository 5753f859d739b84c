"""PANet: one masked-average prototype per class, cosine x 20.

Source: Wang et al., ICCV 2019, equations 1 and 2 (prototypes), 3 (scores). The prototype alignment loss of its section
3.4 is part of training for every method. Foreground and background are one average each, where PSMNet splits them; no
cross attention guides the query's features.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from psmnet.errors import require
from psmnet.models.pooling import grid_prototypes, masked_average, masks_at_features, masks_under_upsampling
from psmnet.models.scoring import match_prototypes
from psmnet.models.settings import SliceSettings
from psmnet.models.tensors import Features, Prediction, Support


@dataclass(frozen=True)
class PANetSettings(SliceSettings):
    """Settings of PANet.

    Attributes:
        grid: [extra] side in feature positions of average-pooled background windows, which are added to the
            background's prototype; 0 for none.
        weigh_area: [extra] increase each prototype's part in the softmax by the logarithm of its area.
    """

    grid: int = 0
    weigh_area: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.grid >= 0, f"grid is {self.grid}", "give 0 or more")

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """PANet over an encoder."""
        return PANet(encoder, self)


class PANet(nn.Module):
    """Single prototypes over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        settings: of the method.
    """

    def __init__(self, encoder: nn.Module, settings: PANetSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """One prototype per class of N slices under masks (N, K, H, W)."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        foreground, background = (
            masked_average(maps, masks_under_upsampling(part, size)[:, :, None]) for part in (masks, 1 - masks)
        )
        grid = self.settings.grid
        windows = (grid_prototypes(maps, 1 - masks_at_features(masks, size), grid),) if grid else ()
        return Support((foreground,), (background, *windows))

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one that serves them all."""
        (maps,) = features.maps
        size = (maps.shape[-2], maps.shape[-1])
        stride: int = self.encoder.stride  # type: ignore[assignment]  # nn.Module types its attributes as modules
        return match_prototypes(
            maps.flatten(2)[:, None],
            support,
            size,
            stride,
            weigh_area=self.settings.weigh_area,
            needed=features.needed,
        )
