"""Loss of a student: cross-entropy and soft Dice, where labels may be ignored and organs left open."""

import torch
from torch import Tensor
from torch.nn import functional

from psmnet.learning.targets import IGNORED

EPSILON = 1e-6


def student_losses(logits: Tensor, labels: Tensor, open_organs: Tensor) -> dict[str, Tensor]:
    """Cross-entropy and Dice loss of a batch.

    Args:
        logits: (B, 1 + K, H, W).
        labels: (B, H, W) long, 0..K or IGNORED.
        open_organs: (B, K) bool, organs that an image's labels do not tell: background there means background or
            one of them, and they are left out of the Dice loss.
    """
    log_all = logits.log_softmax(dim=1)
    unknown = functional.pad(open_organs, (1, 0), value=True)[:, :, None, None]  # background is always part of it
    background = torch.where(unknown, log_all, -torch.inf).logsumexp(dim=1, keepdim=True)
    log_p = torch.cat([background, log_all[:, 1:]], dim=1)
    kept = (labels != IGNORED)[:, None]
    each = functional.nll_loss(log_p, labels.long(), ignore_index=IGNORED, reduction="sum")
    entropy = each / kept.sum().clamp(min=1)  # a batch may be ignored as a whole
    organs = logits.shape[1] - 1
    target = functional.one_hot(labels.long().clamp(max=organs) * (labels != IGNORED), 1 + organs).movedim(-1, 1)[:, 1:]
    counted = (kept & ~open_organs[:, :, None, None]).to(logits.dtype)
    predicted = log_all[:, 1:].exp() * counted
    target = target * counted
    overlap = (predicted * target).sum(dim=(0, 2, 3))
    sizes = predicted.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))
    shown = target.sum(dim=(0, 2, 3)) > 0
    dice = (2 * overlap + EPSILON) / (sizes + EPSILON)
    lost = torch.where(shown, 1 - dice, torch.zeros_like(dice)).sum() / shown.sum().clamp(min=1)
    return {"cross_entropy": entropy, "dice": lost}
