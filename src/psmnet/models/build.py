"""From configurations to networks: the only place where numbers (`config`) meet classes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from psmnet.config import ModelConfig, SettingValue
from psmnet.errors import ConfigError, require, unknown
from psmnet.models.encoder import CompactEncoder, ResNetEncoder
from psmnet.models.old_names import current_names, current_texts
from psmnet.models.registry import METHODS
from psmnet.models.settings import MethodSettings, SliceSettings
from psmnet.models.tensors import Features, Prediction, Support


class Method(Protocol):
    """The three verbs that every slice-wise method has."""

    def encode(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features."""

    def describe(self, features: Features, masks: Tensor) -> Support:
        """Features of N labelled slices and masks (N, K, H, W) to all that matching needs."""

    def match(self, features: Features, support: Support) -> Prediction:
        """Query features and supports (as many, or one) to logits (B, K, 2, H, W)."""


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
    """A network with fresh weights, drawn from torch's global generator.

    Raises:
        ConfigError: no such method or encoder, a method without a network, or a setting that the method can't take.
    """
    settings = settings_of(config)
    return settings.network(build_encoder(config), config.channels)


def settings_of(config: ModelConfig) -> SliceSettings:
    """The settings of a configuration's method, defaults filled in.

    Raises:
        ConfigError: no such method, a method without a network, or a setting that it can't take.
    """
    settings = method_settings(config.method, config.settings)
    if not isinstance(settings, SliceSettings):
        trained = ", ".join(METHODS.trained())
        raise ConfigError(f"{config.method} is not trained and has no network", f"give one of {trained}")
    return settings


def method_settings(method: str, values: Mapping[str, SettingValue]) -> MethodSettings:
    """The settings of a method, with some values in place of the defaults.

    Raises:
        ConfigError: no such method, or a setting that it can't take.
    """
    kind = METHODS[method].settings_class()
    known = [f.name for f in dataclasses.fields(kind)]
    unknown = sorted(set(values) - set(known))
    require(not unknown, f"unknown settings {', '.join(unknown)} of {method}", f"give any of {', '.join(known)}")
    return kind(**values)  # each class checks its own


def model_record(config: ModelConfig) -> dict[str, SettingValue]:
    """A configuration as one flat record, every setting of the method with its value."""
    common = {name: getattr(config, name) for name in _common()}
    return common | dataclasses.asdict(settings_of(config))


def model_from_record(record: Mapping[str, SettingValue]) -> ModelConfig:
    """The configuration of a record that this version or an earlier one made with `model_record`.

    Raises:
        ConfigError: a name that this version does not know, or a value it can't take.
    """
    record = current_names(record)
    common: dict[str, Any] = {name: value for name, value in record.items() if name in _common()}
    config = ModelConfig(**common, settings={k: v for k, v in record.items() if k not in common})
    return dataclasses.replace(config, settings=dataclasses.asdict(settings_of(config)))


def changed(config: ModelConfig, method: str | None = None, texts: Sequence[str] = ()) -> ModelConfig:
    """A configuration with another method or with `NAME=VALUE` texts applied, every setting filled in.

    Settings belong to one method: another method begins with its own defaults.

    Raises:
        ConfigError: no such method or setting, or a value that it can't take.
    """
    if method is not None and method != config.method:
        config = dataclasses.replace(config, method=method, settings={})
    record = model_record(config)
    return model_from_record(record | parse_changes(texts, record))


def parse_changes(texts: Sequence[str], known: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """`NAME=VALUE` texts as values of the types that the known settings have.

    Names of earlier versions are read with a FutureWarning.

    Raises:
        ConfigError: no such setting, or a value that it can't take.
    """
    names = [name for name in known if name != "method"]
    changes: dict[str, SettingValue] = {}
    for text in current_texts(texts):
        name, _, value = text.partition("=")
        if name not in names:
            raise unknown("setting", name, names, "give NAME=VALUE with one of")
        require(value != "", f"{text!r} has no value", "give NAME=VALUE")
        changes[name] = _parsed(text, value, known[name])
    return changes


def _parsed(text: str, value: str, like: SettingValue) -> SettingValue:
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


def differences(settings: Mapping[str, SettingValue], usual: Mapping[str, SettingValue]) -> list[str]:
    """Settings that differ from the usual ones, as `NAME=VALUE` texts in the order of their names."""
    differs = sorted((name, value) for name, value in settings.items() if value != usual[name])
    return [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in differs]


def _common() -> tuple[str, ...]:
    """Fields of every configuration, whatever the method."""
    return tuple(f.name for f in dataclasses.fields(ModelConfig) if f.name != "settings")
