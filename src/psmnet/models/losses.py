"""Losses over targets that exist."""

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = 255


def segmentation_loss(
    logits: Tensor,
    masks: Tensor,
    valid: Tensor,
    class_weights: tuple[float, float],
    targets: Tensor | None = None,
) -> Tensor:
    """Weighted cross-entropy: weighted mean per target, then mean over valid targets [ours; weights ALPNet].

    Args:
        logits: (B, K, 2, H, W).
        masks: (B, K, H, W), 0 background, 1 foreground, 255 ignored.
        valid: (B, K) bool.
        class_weights: of background and foreground.
        targets: scalar, number of targets that the mean is over, where this is a share of a batch (default: the valid
            targets here).
    """
    # Two classes: the cross-entropy is a softplus of the logit difference, without a class axis.
    background, foreground = logits.unbind(2)
    is_foreground = masks == 1
    weight = torch.where(is_foreground, class_weights[1], class_weights[0] * (masks == 0))
    loss = functional.softplus((foreground - background) * torch.where(is_foreground, -1.0, 1.0))
    per_target = (loss * weight).sum(dim=(-2, -1)) / weight.sum(dim=(-2, -1)).clamp(min=1e-6)
    return (per_target * valid).sum() / (valid.sum() if targets is None else targets).clamp(min=1)
