import dataclasses
import json
from typing import Any

import pytest

from psmnet.config import PRESETS, AugmentConfig, ModelConfig, Preset, TrainConfig
from psmnet.errors import ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_round_trips_through_json(name: str):
    preset = PRESETS[name]
    plain = json.loads(json.dumps(dataclasses.asdict(preset)))
    assert ModelConfig(**plain["model"]) == preset.model
    train = plain["train"]
    augment = {k: tuple(v) if isinstance(v, list) else v for k, v in train.pop("augment").items()}
    train["class_weights"] = tuple(train["class_weights"])
    assert TrainConfig(**train, augment=AugmentConfig(**augment)) == preset.train
    assert Preset(preset.model, preset.train, plain["normalisation"]) == preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_validates(name: str):
    for config in (PRESETS[name], PRESETS[name].model, PRESETS[name].train, PRESETS[name].train.augment):
        assert dataclasses.replace(config) == config  # runs the checks again


def test_paper_has_the_published_numbers():
    paper = PRESETS["paper"]
    assert (paper.model.encoder, paper.model.channels, paper.model.output_stride) == ("resnet101", 256, 8)
    assert paper.model.input_size == 256
    train = paper.train
    assert (train.steps, train.pairs, train.targets) == (50_100, 1, 1)
    assert (train.optimiser, train.schedule) == ("sgd", "step")
    assert (train.learning_rate, train.momentum, train.weight_decay) == (1e-3, 0.9, 5e-4)
    assert train.class_weights == (0.05, 1.0)
    assert paper.model.settings["alignment"] == 0  # the released code multiplies it by 0
    assert train.clip_norm == 0
    assert train.augment == AugmentConfig(5, 5, 5, (0.9, 1.2), 10, 5, (0.5, 1.5), 0, 0)
    assert paper.normalisation == "zscore"


@pytest.mark.parametrize(
    ("kind", "values", "match"),
    [
        (ModelConfig, {"channels": 0}, "channels is 0"),
        (ModelConfig, {"channels": 12}, "channels is 12; give a multiple of 8"),
        (ModelConfig, {"output_stride": 16}, "output_stride is 16"),
        (ModelConfig, {"output_stride": 8}, "output_stride is 8; give 4 with compact"),
        (ModelConfig, {"input_size": 100}, "input_size is 100; give a multiple of 16"),
        (ModelConfig, {"input_size": 0}, "input_size is 0"),
        (ModelConfig, {"input_size": -16}, "input_size is -16"),
        (AugmentConfig, {"scale": (1.2, 0.9)}, "scale is"),
        (AugmentConfig, {"gamma": (0, 1)}, "gamma is"),
        (TrainConfig, {"steps": 0}, "steps is 0"),
        (TrainConfig, {"pairs": 0}, "pairs is 0"),
        (TrainConfig, {"targets": -2}, "targets is -2"),
        (TrainConfig, {"checkpoint_every": 0}, "checkpoint_every is 0"),
        (TrainConfig, {"learning_rate": 0}, "learning_rate is 0"),
        (TrainConfig, {"optimiser": "adam"}, "optimiser is 'adam'; give sgd or adamw"),
        (TrainConfig, {"schedule": "flat"}, "schedule is 'flat'"),
        (TrainConfig, {"precision": "half"}, "precision is 'half'; give float32 or bfloat16"),
        (Preset, {"normalisation": "minmax"}, "normalisation is 'minmax'"),
    ],
)
def test_bad_values_are_named_with_the_remedy(kind: type, values: dict[str, Any], match: str):
    with pytest.raises(ConfigError, match=match):
        kind(**values)
