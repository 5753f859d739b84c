"""Q-Net: ADNet with a threshold that the query sets, two scales, and a prototype refined on each query slice.

Source: Shen et al., Q-Net: Query-Informed Few-Shot Medical Image Segmentation (IntelliSys 2023, arXiv 2208.11451):
the query-informed threshold module (T from the query's pooled features), dual-path prototypes, and query-informed
prototype rectification (the query's features with the foreground replaced by the prototype should reconstruct the
query's features). PSMNet compares prototypes of both classes; Q-Net and ADNet compare the foreground's with a
threshold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from psmnet.errors import require
from psmnet.models.adnet import START, anomaly, mean_prototype, threshold_logits
from psmnet.models.pooling import masked_average, masks_under_upsampling
from psmnet.models.scoring import TEMPERATURE, image_logits
from psmnet.models.settings import SliceSettings
from psmnet.models.tensors import Features, Prediction, Support

MIX = (0.9, 0.1)  # of the probabilities at 1/4 and 1/8
REFINEMENT_RATE = 0.01


@dataclass(frozen=True)
class QNetSettings(SliceSettings):
    """Settings of Q-Net.

    Attributes:
        refinement: Adam steps on the prototype of each query slice and target at inference; 0 for none.
    """

    refinement: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.refinement >= 0, f"refinement is {self.refinement}", "give 0 or more")

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """Q-Net over an encoder with two levels and a code."""
        return QNet(encoder, self)


class QNet(nn.Module):
    """Foreground prototypes at two scales and a threshold from the query, over a shared encoder.

    Args:
        encoder: with `levels`, (B, 1, H, W) -> maps at 1/4 and 1/8 and a code (B, D), and `code_size`, D.
        settings: of the method.
    """

    def __init__(self, encoder: nn.Module, settings: QNetSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.threshold = nn.Linear(encoder.code_size, 1)  # type: ignore[arg-type]  # a Module's attribute
        nn.init.constant_(self.threshold.bias, START / TEMPERATURE)  # [ours] as in ADNet

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: maps at 1/4 and 1/8, and the pooled deepest map as code."""
        quarter, eighth, code = self.encoder.levels(images)  # type: ignore[operator]  # a Module's attribute
        return Features((quarter, eighth), code)

    def describe(self, features: Features, masks: Tensor) -> Support:
        """The foreground's prototype at both scales of N slices under masks (N, K, H, W)."""
        sets = []
        for maps in features.maps:
            weights = masks_under_upsampling(masks, (maps.shape[-2], maps.shape[-1]))
            sets.append(masked_average(maps, weights[:, :, None]))
        return Support(tuple(sets))

    def match(self, features: Features, support: Support) -> Prediction:
        """Compare the anomaly scores of N queries with each query's own threshold, and mix the scales."""
        assert features.code is not None
        threshold = TEMPERATURE * self.threshold(features.code)[:, :, None, None]  # N 1 1 1
        mixed = torch.zeros(())
        for share, stride, maps, prototypes in zip(MIX, (4, 8), features.maps, support.foreground, strict=True):
            vectors = mean_prototype(prototypes)
            if self.settings.refinement and not self.training:
                vectors = _refine(maps, vectors, threshold, self.settings.refinement)
            logits = image_logits(threshold_logits(anomaly(maps, vectors), threshold), stride)
            mixed = mixed + share * logits[:, :, 1].sigmoid()
        margin = torch.logit(mixed, eps=1e-6)
        return Prediction(torch.stack([torch.zeros_like(margin), margin], dim=2), {})


def _refine(maps: Tensor, vectors: Tensor, threshold: Tensor, steps: int) -> Tensor:
    """Refine prototypes (N, K, C), one per query slice and target, by Adam steps on their reconstruction loss.

    Each loss depends only on its own prototype, and Adam treats each number by itself, so that the result does not
    depend on the rest of the batch.
    """
    maps, threshold = maps.detach(), threshold.detach()
    flat = maps.flatten(2)[:, None]  # N 1 C s
    wanted = _squashed(flat)
    with torch.enable_grad():
        refined = vectors.detach().expand(len(maps), -1, -1).clone().requires_grad_()
        adam = torch.optim.Adam([refined], lr=REFINEMENT_RATE)
        for _ in range(steps):
            with torch.no_grad():
                found = (anomaly(maps, refined) < threshold).flatten(2)[:, :, None]  # N K 1 s
            rebuilt = torch.where(found, refined[..., None], flat)
            loss = functional.binary_cross_entropy(wanted.expand_as(rebuilt), _squashed(rebuilt), reduction="none")
            adam.zero_grad()
            loss.mean(dim=(-2, -1)).sum().backward()
            adam.step()
    return refined.detach()


def _squashed(features: Tensor) -> Tensor:
    """The sigmoid of features (N, K, C, s) that were scaled to 0..1 over each target."""
    low, high = features.amin(dim=(-2, -1), keepdim=True), features.amax(dim=(-2, -1), keepdim=True)
    return ((features - low) / (high - low).clamp(min=1e-6)).sigmoid()
