"""Losses of a batch of episodes, for every method."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from psmnet.config import TrainConfig
from psmnet.models import Episode, Method, segmentation_loss


def episode_losses(
    model: Method, episode: Episode, config: TrainConfig, *, alignment: float, targets: Tensor | None = None
) -> dict[str, Tensor]:
    """Losses of a batch, each a scalar; training adds them up.

    Support and query are encoded in one call, so that BatchNorm sees them together.

    Args:
        model: a method.
        episode: a batch, or a share of one: then the shares' losses add up to the batch's.
        config: how the network is trained.
        alignment: weight of the prototype alignment loss [PANet]; 0 means that it is not computed.
        targets: scalar, valid targets of the whole batch (default: of this episode).
    """
    targets = episode.valid.sum() if targets is None else targets
    batch, shots = episode.support_images.shape[:2]
    supports = rearrange(episode.support_images, "b s c h w -> (b s) c h w")
    masks = rearrange(episode.support_masks, "b s k h w -> (b s) k h w")
    half = torch.autocast(supports.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    with half:  # only the encoder: matching compares cosines, which need more digits
        features = model.encode(torch.cat([supports, episode.query_images])).float()
    support_features, query_features = features.divided(batch * shots)
    prediction = model.match(query_features, model.describe(support_features, masks).join(shots))
    losses = {
        "segmentation": segmentation_loss(
            prediction.logits, episode.query_masks, episode.valid, config.class_weights, targets
        ),
        **{name: loss * (batch / config.pairs) for name, loss in prediction.extra_losses.items()},
    }
    if alignment > 0:
        # PANet: the prediction, used as a label, must segment the support.
        predicted = (prediction.logits[:, :, 1] > prediction.logits[:, :, 0]).to(masks.dtype)
        valid = episode.valid & (predicted.sum(dim=(-2, -1)) > 0)
        back = model.describe(query_features, predicted)
        back = back.select(torch.arange(batch, device=masks.device).repeat_interleave(shots))
        logits = model.match(support_features, back).logits
        losses["alignment"] = alignment * segmentation_loss(
            logits, masks, valid.repeat_interleave(shots, dim=0), config.class_weights, targets * shots
        )
    return losses


class MethodWithLosses(nn.Module):
    """A method and its losses as one module with a forward pass, which DistributedDataParallel needs."""

    def __init__(self, model: nn.Module, config: TrainConfig, alignment: float) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.alignment = alignment

    def forward(self, episode: Episode, targets: Tensor) -> dict[str, Tensor]:
        """See `episode_losses`."""
        model: Any = self.model  # a method
        return episode_losses(model, episode, self.config, alignment=self.alignment, targets=targets)
