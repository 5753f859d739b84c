"""Prototype Splitting Module (PSM): splits masks into what their prototypes segment and what they miss.

Source: Teng et al., Neurocomputing 597 (2024) 127990. [published] the masks are split iteratively into segmented and
unsegmented regions, guided by the segmentation of the support itself. [inferred] the exact rule below; see
docs/decisions.md.
"""

import torch
from einops import rearrange
from torch import Tensor

from psmnet.models.pooling import class_weights, foreground_members, masked_average
from psmnet.models.scoring import cosine_score, unit_features


@torch.no_grad()
def split(features: Tensor, masks: Tensor, rounds: int, minimal_area: int = 1) -> Tensor:
    """Split each class of each mask into sub-masks by segmenting the support with its own prototypes.

    Args:
        features: (N, C, h, w) support features.
        masks: (N, K, h, w) soft masks on the feature grid, 0..1.
        rounds: T, how often every sub-mask is split; a class ends with at most 2 ** T.
        minimal_area: a part of fewer feature positions than this stays with its sibling.

    Returns:
        (N, K, h, w) long: the number of each position's sub-mask within its class, 0 .. 2 ** T - 1. The
        sub-masks of a class are disjoint and their union is the class.
    """
    units = unit_features(features)
    foreground = foreground_members(masks)
    background_weights, foreground_weights = class_weights(masks)
    part = torch.zeros_like(masks, dtype=torch.long)
    for done in range(rounds):
        count = 2**done
        background = masked_average(features, sub_masks(part, background_weights, count))
        own = masked_average(features, sub_masks(part, foreground_weights, count))
        predicted = cosine_score(units, own) > cosine_score(units, background)
        missed = (rearrange(predicted, "n k (h w) -> n k h w", h=masks.shape[-2]) != foreground).long()
        if not missed.any():
            break
        # A parent divides if both of its parts are large enough; every position looks that up for its own class.
        proposal = 2 * part + missed
        divided = torch.zeros_like(foreground)
        for members in (foreground, ~foreground):
            area = sub_masks(proposal, members.to(features.dtype), 2 * count).sum(dim=(-2, -1))
            siblings = rearrange(area, "n k (parent sibling) -> n k parent sibling", sibling=2)
            divides = (siblings >= minimal_area).all(dim=-1)
            divided |= members & divides.gather(2, part.flatten(2)).reshape(part.shape)
        part = 2 * part + missed * divided
    return part


def sub_masks(part: Tensor, weights: Tensor, count: int) -> Tensor:
    """Spread the weights of a class (N, K, h, w) over `count` numbered parts: (N, K, count, h, w)."""
    numbers = torch.arange(count, device=part.device)[:, None, None]
    return weights[:, :, None] * (part[:, :, None] == numbers)
