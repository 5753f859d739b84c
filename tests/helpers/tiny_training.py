"""A network of a few hundred weights and episodes of one phantom: what trains in a moment."""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from psmnet.config import AugmentConfig, TrainConfig
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.rule import PseudolabelRule
from psmnet.models.psm_net import PSMNet, PSMNetSettings
from psmnet.models.tensors import Features, Support
from psmnet.training.episodes import SelfSupervisedEpisodes, SliceBank
from psmnet.volume.normalisation import Normalisation

CPU = torch.device("cpu")
STEPS = 10
CONFIG = TrainConfig(
    steps=STEPS, pairs=2, targets=2, warmup=2, checkpoint_every=4, augment=AugmentConfig(bias_field=0.2, noise=0.1)
)


class Encoder(nn.Module):
    stride = 4

    def __init__(self, *, batchnorm: bool = False) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 4, 4),
            nn.BatchNorm2d(16) if batchnorm else nn.GroupNorm(4, 16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Network(PSMNet):
    """A tiny PSMNet that counts its descriptions."""

    described = 0

    def describe(self, features: Features, masks: Tensor) -> Support:
        self.described += 1
        return super().describe(features, masks)


def network(*, batchnorm: bool = False) -> Network:
    torch.manual_seed(0)
    settings = PSMNetSettings(
        attention="text", split_rounds=2, minimal_area=1, grid=0, grid_at_inference=0, weigh_area=True
    )
    return Network(Encoder(batchnorm=batchnorm), 16, settings)


@cache
def bank() -> SliceBank:
    scan = draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))[0]
    ids = PseudolabelRule("superpixels", 50.0).make(scan)
    volume = (Normalisation("clip-zscore").apply(scan.array_zyx), ids, np.ones(12, bool))
    return SliceBank.of_volumes([volume], 32)


def episodes(config: TrainConfig = CONFIG, seed: int = 0) -> SelfSupervisedEpisodes:
    return SelfSupervisedEpisodes(bank(), config.pairs, config.targets, config.augment, seed)
