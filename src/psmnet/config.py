"""Settings of networks and training as typed, validated dataclasses, and the two presets.

`models.build` makes networks of them. The settings of a method are in the method's own file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from psmnet.errors import require

NormalisationRule = Literal["zscore", "clip-zscore", "ct-fold"]
SettingValue = bool | int | float | str


@dataclass(frozen=True)
class ModelConfig:
    """The parts of a network.

    Attributes:
        method: name in `models.METHODS`.
        encoder: `compact`, or `resnet18`, `resnet34`, `resnet50`, `resnet101`.
        channels: number C of channels of the features that are matched.
        output_stride: image pixels per feature position (ResNets: 4 or 8; compact: 4).
        input_size: height and width in pixels to which slices are resized.
        smooth_mm: standard deviation of the Gaussian that smooths logits across slices at inference; 0 for none.
        settings: of the method, by name; see its file. Missing ones have their default there.
    """

    method: str = "psmnet"
    encoder: str = "compact"
    channels: int = 128
    output_stride: int = 4
    input_size: int = 192
    smooth_mm: float = 0.0
    settings: Mapping[str, SettingValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self.channels > 0, f"channels is {self.channels}", "give a positive number")
        require(self.output_stride in (4, 8), f"output_stride is {self.output_stride}", "give 4 or 8")
        if self.encoder == "compact":
            require(self.channels % 8 == 0, f"channels is {self.channels}", "give a multiple of 8 with compact")
            require(self.output_stride == 4, f"output_stride is {self.output_stride}", "give 4 with compact")
        require(
            self.input_size > 0 and self.input_size % 16 == 0,
            f"input_size is {self.input_size}",
            "give a multiple of 16",
        )
        require(self.smooth_mm >= 0, f"smooth_mm is {self.smooth_mm}", "give 0 or more")


@dataclass(frozen=True)
class AugmentConfig:
    """How much two augmentations of one slice may differ [ALPNet, unless the preset says otherwise].

    Slices are never flipped: left and right organs differ.

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
            require(0 < low <= high, f"{name} is {(low, high)}", "give two positive numbers, the smaller first")
        for name in ("elastic_alpha_px", "bias_field", "noise"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "give 0 or more")
        require(self.elastic_sigma_px > 0, f"elastic_sigma_px is {self.elastic_sigma_px}", "give a positive number")


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        steps: optimiser steps.
        pairs: image pairs in a batch.
        targets: superpixels per pair.
        optimiser: `sgd` or `adamw`.
        learning_rate, weight_decay, momentum: of the optimiser (momentum: SGD's).
        schedule: `step` (x 0.95 every 1,000 steps, as published) or `cosine` (after a linear warm-up).
        warmup: steps of that warm-up.
        clip_norm: gradients are scaled down to this norm; 0 leaves them.
        class_weights: of background and foreground in the cross-entropy loss.
        precision: of the encoder: `float32`, or `bfloat16`, with which the encoder is about twice as fast on processors
            that support it, and a whole scan takes about a fifth to a third less time.
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
    precision: Literal["float32", "bfloat16"] = "float32"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "pairs", "targets", "checkpoint_every"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}", "give 1 or more")
        for name in ("weight_decay", "momentum", "warmup", "clip_norm"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}", "give 0 or more")
        require(min(self.class_weights) > 0, f"class_weights are {self.class_weights}", "give positive numbers")
        require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}", "give a positive number")
        require(self.optimiser in ("sgd", "adamw"), f"optimiser is {self.optimiser!r}", "give sgd or adamw")
        require(
            self.precision in ("float32", "bfloat16"), f"precision is {self.precision!r}", "give float32 or bfloat16"
        )
        require(self.schedule in ("step", "cosine"), f"schedule is {self.schedule!r}", "give step or cosine")


@dataclass(frozen=True)
class Preset:
    """Network, training and intensity normalisation under one name.

    Attributes:
        model: network of PSMNet. Its method settings are for PSMNet only; other methods use their own defaults.
        train: how any method is trained.
        normalisation: of intensities.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    normalisation: NormalisationRule = "clip-zscore"

    def __post_init__(self) -> None:
        require(
            self.normalisation in get_args(NormalisationRule),
            f"normalisation is {self.normalisation!r}",
            f"give one of {', '.join(get_args(NormalisationRule))}",
        )


PRESETS: dict[str, Preset] = {
    # Can be trained from scratch on a laptop. Reasons and measurements: docs/decisions.md.
    "compact": Preset(
        train=TrainConfig(
            steps=1600,
            learning_rate=5e-4,
            class_weights=(0.3, 1.0),
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
    # The paper's recipe; what its released code leaves open is taken from ALPNet.
    "paper": Preset(
        model=ModelConfig(
            encoder="resnet101",
            channels=256,
            output_stride=8,
            input_size=256,
            settings={
                "alignment": 0.0,
                "minimal_area": 1,
                "grid": 0,
                "grid_at_inference": 0,
                "weigh_area": False,
                "attention": "text",
            },
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
