"""ADNet: one foreground prototype and a learned threshold on the anomaly score; the background is not modelled.

Source: Hansen et al., Medical Image Analysis 78 (2022) 102385, equations 1 (prototype), 2 (anomaly score), 3 (the
sigmoid of its distance from T) and the loss T / 20, which keeps the scores of the foreground low. PSMNet compares with
many prototypes of both classes; ADNet only measures how similar a pixel is to the foreground.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from psmnet.models.pooling import masked_average, masks_under_upsampling
from psmnet.models.scoring import TEMPERATURE, image_logits, similarities
from psmnet.models.settings import SliceSettings
from psmnet.models.tensors import Features, Prediction, Prototypes, Support

START = -10.0  # first value of T: half of the lowest anomaly score
SLOPE = 0.5  # of the sigmoid


@dataclass(frozen=True)
class ADNetSettings(SliceSettings):
    """Settings of ADNet: only those of every slice-wise method."""

    def network(self, encoder: nn.Module, channels: int) -> nn.Module:
        """ADNet over an encoder."""
        return ADNet(encoder)


class ADNet(nn.Module):
    """A foreground prototype and a threshold over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        # T divided by the temperature, a cosine: relative to its range, Adam's steps are then as large as for weights.
        self.threshold = nn.Parameter(torch.tensor(START / TEMPERATURE))

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

    def describe(self, features: Features, masks: Tensor) -> Support:
        """The foreground prototype of N slices under masks (N, K, H, W)."""
        (maps,) = features.maps
        weights = masks_under_upsampling(masks, (maps.shape[-2], maps.shape[-1]))
        return Support((masked_average(maps, weights[:, :, None]),))

    def match(self, features: Features, support: Support) -> Prediction:
        """Compare the anomaly scores of N queries with T; prototypes of several shots are averaged, as published."""
        (maps,) = features.maps
        score = anomaly(maps, mean_prototype(support.foreground[0]))
        logits = threshold_logits(score, TEMPERATURE * self.threshold)
        return Prediction(image_logits(logits, self.encoder.stride), {"threshold": self.threshold})  # type: ignore[arg-type]  # a Module's attribute


def mean_prototype(prototypes: Prototypes) -> Tensor:
    """The mean (N, K, C) of a class's existing prototypes; zero where none exists."""
    exists = prototypes.valid.to(prototypes.vectors.dtype)[..., None]
    return (prototypes.vectors * exists).sum(2) / exists.sum(2).clamp(min=1)


def anomaly(maps: Tensor, vectors: Tensor) -> Tensor:
    """-20 cos between maps (N, C, h, w) and one prototype per target (N or 1, K, C): (N, K, h, w)."""
    scores = similarities(maps.flatten(2)[:, None], vectors[:, :, None])[:, :, 0]
    height, width = maps.shape[-2:]
    score: Tensor = -scores.unflatten(-1, (height, width))
    return score


def threshold_logits(score: Tensor, threshold: Tensor) -> Tensor:
    """Class logits (N, K, 2, h, w) of anomaly scores (N, K, h, w): p_fg = 1 - sigmoid(0.5 (A - T))."""
    margin = -SLOPE * (score - threshold)
    return torch.stack([torch.zeros_like(margin), margin], dim=2)
