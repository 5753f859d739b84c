"""PSMNet: encode, describe (split prototypes, gather guidance), match (guide, score).

Source: Teng et al., Neurocomputing 597 (2024) 127990. Shapes: see `psmnet.types`.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from psmnet.models.mcam import MultiLevelCrossAttention
from psmnet.models.prototypes import (
    class_weights,
    cosine_score,
    grid_prototypes,
    masked_average,
    masks_at_features,
)
from psmnet.models.psm import split, sub_masks
from psmnet.types import Features, Prediction, Support


class PSMNet(nn.Module):
    """Prototype Splitting Module and Multi-level Cross Attention Module over a shared encoder.

    Args:
        encoder: (B, 1, H, W) -> (B, C, h, w), with `stride`, image pixels per feature position.
        attention: cross attention over C channels, or None to match the plain features.
        split_rounds: T; 0 keeps single prototypes.
        split_foreground: split the foreground too, or the background alone.
        minimal_area: feature positions below which a part stays with its sibling.
        grid: side of the background's average-pooled windows in feature positions, 0 for none.
        weigh_area: raise each prototype's part in the softmax by the log of its area.
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
        weigh_area: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = attention
        self.split_rounds = split_rounds
        self.split_foreground = split_foreground
        self.minimal_area = minimal_area
        self.grid = grid
        self.weigh_area = weigh_area

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features: one map (B, C, h, w)."""
        return Features((self.encoder(images),))

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
        foreground = whole.union(local)
        grid = grid_prototypes(maps, 1 - masks, self.grid) if self.grid else None
        if self.attention is None:
            return Support(foreground, background, grid)
        guidance = self.attention.describe(maps, foreground_weights, whole.vectors[:, :, 0], local)
        return Support(foreground, background, grid, guidance)

    def match(self, features: Features, support: Support) -> Prediction:
        """Score N queries by N supports, or by one support that serves them all."""
        (maps,) = features.maps
        enhanced = maps.flatten(2)[:, None]
        if self.attention is not None and support.guidance is not None:
            enhanced = self.attention.enhance(maps, support.guidance)
        background = (support.background, support.grid) if support.grid is not None else (support.background,)
        classes = (background, (support.foreground,))
        scores = torch.stack([cosine_score(enhanced, *sets, weigh_area=self.weigh_area) for sets in classes], dim=2)
        logits = rearrange(scores, "n k c (h w) -> (n k) c h w", h=maps.shape[-2])
        size = (maps.shape[-2] * self.stride, maps.shape[-1] * self.stride)
        logits = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return Prediction(rearrange(logits, "(n k) c h w -> n k c h w", n=len(scores)), {})

    @property
    def stride(self) -> int:
        """Image pixels per feature position."""
        return int(self.encoder.stride)  # type: ignore[arg-type]  # nn.Module types every attribute as Tensor | Module
