"""The composition root: the only place where numbers (`config`) meet classes, and the registry of methods."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from psmnet.config import ModelConfig, Setting
from psmnet.errors import ConfigError, require
from psmnet.models.adnet import ADNetSettings
from psmnet.models.alpnet import ALPNetSettings
from psmnet.models.encoder import CompactEncoder, ResNetEncoder
from psmnet.models.panet import PANetSettings
from psmnet.models.psm_net import PSMNetSettings
from psmnet.models.qnet import QNetSettings
from psmnet.models.settings import MethodSettings
from psmnet.models.tensors import Features, Prediction, Support


class Method(Protocol):
    """The three verbs every slice-wise method has, and no others."""

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features."""

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Features of N labelled slices and masks (N, K, H, W) to all that matching needs."""

    def match(self, features: Features, support: Support) -> Prediction:
        """Query features and supports (as many, or one) to logits (B, K, 2, H, W)."""


METHODS: dict[str, type[MethodSettings]] = {
    "psmnet": PSMNetSettings,
    "panet": PANetSettings,
    "alpnet": ALPNetSettings,
    "adnet": ADNetSettings,
    "qnet": QNetSettings,
}


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


def build_model(config: ModelConfig) -> nn.Module:
    """A network with fresh weights (drawn from torch's generator: seed it first).

    Raises:
        ConfigError: no such method or encoder, or a setting that the method can't take.
    """
    settings = settings_of(config)
    return settings.network(build_encoder(config), config.channels)


def settings_of(config: ModelConfig) -> MethodSettings:
    """The settings of a configuration's method, defaults filled in.

    Raises:
        ConfigError: no such method, or a setting that it can't take.
    """
    require(config.method in METHODS, f"unknown method {config.method!r}", f"give one of {', '.join(METHODS)}")
    kind = METHODS[config.method]
    known = [f.name for f in dataclasses.fields(kind)]
    unknown = sorted(set(config.settings) - set(known))
    require(not unknown, f"unknown settings {', '.join(unknown)} of {config.method}", f"give any of {', '.join(known)}")
    return kind(**config.settings)  # type: ignore[arg-type]  # each class checks its own


def model_record(config: ModelConfig) -> dict[str, Setting]:
    """A configuration as one flat record, every setting of the method with its value."""
    common = {name: getattr(config, name) for name in _common()}
    return common | dataclasses.asdict(settings_of(config))


def model_from_record(record: Mapping[str, Setting]) -> ModelConfig:
    """What `model_record` gave, as a configuration.

    Raises:
        ConfigError: a name that this version does not know, or a value it can't take.
    """
    common: dict[str, Any] = {name: value for name, value in record.items() if name in _common()}
    config = ModelConfig(**common, settings={k: v for k, v in record.items() if k not in common})
    return dataclasses.replace(config, settings=dataclasses.asdict(settings_of(config)))


def changed(config: ModelConfig, method: str | None = None, texts: Sequence[str] = ()) -> ModelConfig:
    """A configuration with another method or with `NAME=VALUE` texts applied, every setting filled in.

    Settings are a method's own: another method has those its paper published.

    Raises:
        ConfigError: no such method or setting, or a value that it can't take.
    """
    if method is not None and method != config.method:
        config = dataclasses.replace(config, method=method, settings={})
    record = model_record(config)
    return model_from_record(record | parse_changes(texts, record))


def parse_changes(texts: Sequence[str], known: Mapping[str, Setting]) -> dict[str, Setting]:
    """`NAME=VALUE` texts as values of the types that the known settings have.

    Raises:
        ConfigError: no such setting, or a value that it can't take.
    """
    changes: dict[str, Setting] = {}
    for text in texts:
        name, _, value = text.partition("=")
        require(
            name in known and name != "method" and value != "",
            f"setting {text!r}",
            f"give NAME=VALUE with one of {', '.join(n for n in known if n != 'method')}",
        )
        changes[name] = _parsed(text, value, known[name])
    return changes


def _parsed(text: str, value: str, like: Setting) -> Setting:
    if isinstance(like, bool):
        require(value in ("true", "false"), text, "give true or false")
        return value == "true"
    if isinstance(like, int):
        require(value.removeprefix("-").isdecimal(), text, "give a whole number")
        return int(value)
    if isinstance(like, float):
        try:
            return float(value)
        except ValueError:
            raise ConfigError(text, "give a number") from None
    return value


def _common() -> tuple[str, ...]:
    """Fields of every configuration, whatever the method."""
    return tuple(f.name for f in dataclasses.fields(ModelConfig) if f.name != "settings")
