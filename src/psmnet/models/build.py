"""The composition root: the only place where numbers (`config`) meet classes."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from psmnet.config import ModelConfig
from psmnet.errors import ConfigError
from psmnet.models.encoder import CompactEncoder, ResNetEncoder
from psmnet.models.mcam import MultiLevelCrossAttention
from psmnet.models.psmnet import PSMNet
from psmnet.types import Features, Prediction, Support


class Method(Protocol):
    """The three verbs every slice-wise method has, and no others."""

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features."""

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Features of N labelled slices and masks (N, K, H, W) to all that matching needs."""

    def match(self, features: Features, support: Support) -> Prediction:
        """Query features and supports (as many, or one) to logits (B, K, 2, H, W)."""


def _psmnet(config: ModelConfig, encoder: nn.Module) -> nn.Module:
    attention = None if config.attention == "off" else MultiLevelCrossAttention(config.channels, config.attention)
    return PSMNet(
        encoder,
        attention,
        split_rounds=config.split_rounds,
        split_foreground=config.split_foreground,
        minimal_area=config.minimal_area,
        grid=config.grid,
        weigh_area=config.weigh_area,
    )


METHODS: dict[str, Callable[[ModelConfig, nn.Module], nn.Module]] = {"psmnet": _psmnet}


def build_encoder(config: ModelConfig) -> nn.Module:
    """The encoder that a configuration names.

    Raises:
        ConfigError: no such encoder.
    """
    if config.encoder == "compact":
        return CompactEncoder(config.channels)
    layers = {"resnet18": 18, "resnet34": 34, "resnet50": 50, "resnet101": 101}.get(config.encoder)
    if layers is None:
        raise ConfigError(f"unknown encoder {config.encoder!r}", "give compact, resnet18, 34, 50 or resnet101")
    return ResNetEncoder(layers, config.channels, config.output_stride)


def build(config: ModelConfig) -> nn.Module:
    """A network with fresh weights (drawn from torch's generator: seed it first).

    Raises:
        ConfigError: no such method or encoder.
    """
    if config.method not in METHODS:
        raise ConfigError(f"unknown method {config.method!r}", f"give one of {', '.join(METHODS)}")
    return METHODS[config.method](config, build_encoder(config))
