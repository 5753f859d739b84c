"""Settings of models and training as typed, validated dataclasses, and the two presets.

Numbers live here; classes meet them in `models.build` alone.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from psmnet.errors import ConfigError

NormalisationRule = Literal["zscore", "clip-zscore", "ct-fold"]


def _require(good: bool, what: str, remedy: str) -> None:
    if not good:
        raise ConfigError(what, remedy)


@dataclass(frozen=True)
class ModelConfig:
    """What a network is made of.

    Attributes:
        method: name in the registry of `models.build`.
        encoder: `compact`, or `resnet18`, `resnet34`, `resnet50`, `resnet101`.
        channels: width C of the features that are matched.
        output_stride: image pixels per feature position (ResNets: 4 or 8; compact: 4).
        input_size: image height and width in pixels that slices are brought to.
        split_rounds: T of the Prototype Splitting Module; 0 switches splitting off.
        split_foreground: whether the foreground is split too, or the background alone.
        minimal_area: feature positions below which a split part stays with its sibling.
        grid: side in feature positions of the background's average-pooled windows; 0 for none.
        weigh_area: raise each prototype's part in the softmax by the log of its area.
        attention: form of cross attention: `text`, `release`, or `off`.
    """

    method: str = "psmnet"
    encoder: str = "compact"
    channels: int = 128
    output_stride: int = 4
    input_size: int = 192
    split_rounds: int = 3
    split_foreground: bool = True
    minimal_area: int = 1
    grid: int = 4
    weigh_area: bool = True
    attention: Literal["text", "release", "off"] = "text"

    def __post_init__(self) -> None:
        _require(self.channels > 0, f"channels is {self.channels}", "give a positive number")
        _require(self.output_stride in (4, 8), f"output_stride is {self.output_stride}", "give 4 or 8")
        if self.encoder == "compact":
            _require(self.channels % 8 == 0, f"channels is {self.channels}", "give a multiple of 8 with compact")
            _require(self.output_stride == 4, f"output_stride is {self.output_stride}", "give 4 with compact")
        _require(
            self.input_size > 0 and self.input_size % 16 == 0,
            f"input_size is {self.input_size}",
            "give a multiple of 16",
        )
        _require(0 <= self.split_rounds <= 8, f"split_rounds is {self.split_rounds}", "give 0 to 8")
        _require(self.minimal_area >= 1, f"minimal_area is {self.minimal_area}", "give 1 or more")
        side = self.input_size // self.output_stride
        _require(0 <= self.grid <= side, f"grid is {self.grid}", f"give 0 to {side}, the side of the feature map")
        _require(
            self.attention in ("text", "release", "off"),
            f"attention is {self.attention!r}",
            "give text, release or off",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """How far two augmentations of one slice differ [ALPNet, unless the preset says otherwise].

    No flips: left and right matter.

    Attributes:
        rotation_deg, shear_deg: drawn within plus or minus this.
        shift_px: within plus or minus this many pixels of a 256 pixel slice.
        scale: drawn between the two.
        elastic_alpha_px, elastic_sigma_px: displacement amplitude and smoothness, in pixels of a 256 pixel slice.
        gamma: exponent drawn between the two, on intensities scaled to 0..1.
        bias_field: log-amplitude of a smooth multiplicative field; 0 for none.
        noise: standard deviation of added noise, in units of the image's own; drawn from 0 to this.
    """

    rotation_deg: float = 5.0
    shear_deg: float = 5.0
    shift_px: float = 5.0
    scale: tuple[float, float] = (0.9, 1.2)
    elastic_alpha_px: float = 10.0
    elastic_sigma_px: float = 5.0
    gamma: tuple[float, float] = (0.5, 1.5)
    bias_field: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "gamma"):
            low, high = getattr(self, name)
            _require(0 < low <= high, f"{name} is {(low, high)}", "give two positive numbers, the smaller first")
        for name in ("elastic_alpha_px", "bias_field", "noise"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "give 0 or more")
        _require(self.elastic_sigma_px > 0, f"elastic_sigma_px is {self.elastic_sigma_px}", "give a positive number")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        steps: optimiser steps.
        pairs: image pairs in a batch.
        targets: superpixels a pair shares.
        optimiser: `sgd` or `adamw`.
        learning_rate, weight_decay, momentum: of the optimiser (momentum: SGD's).
        schedule: `step` (x 0.95 every 1,000 steps, as published) or `cosine` (after a linear warm-up).
        warmup: steps of that warm-up.
        clip_norm: gradients are scaled down to this norm; 0 leaves them.
        class_weights: of background and foreground in the cross-entropy.
        alignment: weight of the prototype alignment loss [PANet]; a loss weighted 0 is not computed.
        augment: see AugmentConfig.
        checkpoint_every: steps between checkpoints.
    """

    steps: int = 1600
    pairs: int = 6
    targets: int = 5
    optimiser: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    momentum: float = 0.9
    schedule: Literal["step", "cosine"] = "cosine"
    warmup: int = 100
    clip_norm: float = 1.0
    class_weights: tuple[float, float] = (0.05, 1.0)
    alignment: float = 0.0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "pairs", "targets", "checkpoint_every"):
            _require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}", "give 1 or more")
        for name in ("weight_decay", "momentum", "warmup", "clip_norm", "alignment"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "give 0 or more")
        _require(min(self.class_weights) > 0, f"class_weights are {self.class_weights}", "give positive numbers")
        _require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}", "give a positive number")
        _require(self.optimiser in ("sgd", "adamw"), f"optimiser is {self.optimiser!r}", "give sgd or adamw")
        _require(self.schedule in ("step", "cosine"), f"schedule is {self.schedule!r}", "give step or cosine")


@dataclass(frozen=True)
class Preset:
    """A recipe by name: network, training and the rule that normalises intensities."""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    normalisation: NormalisationRule = "clip-zscore"

    def __post_init__(self) -> None:
        _require(
            self.normalisation in get_args(NormalisationRule),
            f"normalisation is {self.normalisation!r}",
            f"give one of {', '.join(get_args(NormalisationRule))}",
        )


PRESETS: dict[str, Preset] = {
    # Trains from scratch on a laptop. Every choice and what it measured: docs/decisions.md.
    "compact": Preset(
        model=ModelConfig(attention="off", split_foreground=False),
        train=TrainConfig(
            steps=1600,
            learning_rate=5e-4,
            class_weights=(0.1, 1.0),
            augment=AugmentConfig(
                rotation_deg=10,
                shift_px=15,
                scale=(0.85, 1.2),
                elastic_alpha_px=400,
                elastic_sigma_px=20,
                bias_field=0.3,
                noise=0.1,
            ),
        ),
    ),
    # The paper's recipe, with the parts taken from ALPNet where the release is silent.
    "paper": Preset(
        model=ModelConfig(
            encoder="resnet101",
            channels=256,
            output_stride=8,
            input_size=256,
            grid=0,
            weigh_area=False,
        ),
        train=TrainConfig(
            steps=50_100,
            pairs=1,
            targets=1,
            optimiser="sgd",
            schedule="step",
            clip_norm=0.0,
            checkpoint_every=1000,
        ),
        normalisation="zscore",
    ),
}


def model_from_dict(values: dict[str, Any]) -> ModelConfig:
    """A network's configuration from a weights file.

    Raises:
        ConfigError: a name that this version does not know.
    """
    known = {f.name for f in dataclasses.fields(ModelConfig)}
    unknown = sorted(set(values) - known)
    _require(not unknown, f"unknown model settings {unknown}", "use the psmnet version that wrote the weights")
    return ModelConfig(**values)


def parse_changes(texts: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` texts as fields of ModelConfig, each with its field's type.

    Raises:
        ConfigError: no such field, or a value that it can't take.
    """
    fields = {f.name: f.default for f in dataclasses.fields(ModelConfig)}
    changes: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        _require(
            name in fields and value != "", f"setting {text!r}", f"give NAME=VALUE with one of {', '.join(fields)}"
        )
        default = fields[name]
        if isinstance(default, bool):
            _require(value in ("true", "false"), f"{name}={value}", "give true or false")
            changes[name] = value == "true"
        elif isinstance(default, int):
            _require(value.removeprefix("-").isdecimal(), f"{name}={value}", "give a whole number")
            changes[name] = int(value)
        else:
            changes[name] = value
    return changes
