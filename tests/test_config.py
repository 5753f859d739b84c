import dataclasses
import json
from typing import Any

import pytest

from psmnet.config import (
    PRESETS,
    AugmentConfig,
    ModelConfig,
    Preset,
    TrainConfig,
    model_from_dict,
    parse_changes,
)
from psmnet.errors import ConfigError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_round_trips_through_json(name: str):
    preset = PRESETS[name]
    plain = json.loads(json.dumps(dataclasses.asdict(preset)))
    assert model_from_dict(plain["model"]) == preset.model
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
    assert train.alignment == 0  # the release multiplies it by 0
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
        (ModelConfig, {"split_rounds": -1}, "split_rounds is -1"),
        (ModelConfig, {"split_rounds": 9}, "split_rounds is 9"),
        (ModelConfig, {"minimal_area": 0}, "minimal_area is 0"),
        (ModelConfig, {"grid": -1}, "grid is -1"),
        (ModelConfig, {"attention": "on"}, "attention is 'on'; give text, release or off"),
        (AugmentConfig, {"scale": (1.2, 0.9)}, "scale is"),
        (AugmentConfig, {"gamma": (0, 1)}, "gamma is"),
        (TrainConfig, {"steps": 0}, "steps is 0"),
        (TrainConfig, {"pairs": 0}, "pairs is 0"),
        (TrainConfig, {"targets": -2}, "targets is -2"),
        (TrainConfig, {"checkpoint_every": 0}, "checkpoint_every is 0"),
        (TrainConfig, {"learning_rate": 0}, "learning_rate is 0"),
        (TrainConfig, {"optimiser": "adam"}, "optimiser is 'adam'; give sgd or adamw"),
        (TrainConfig, {"schedule": "flat"}, "schedule is 'flat'"),
        (Preset, {"normalisation": "minmax"}, "normalisation is 'minmax'"),
    ],
)
def test_bad_values_are_named_with_the_remedy(kind: type, values: dict[str, Any], match: str):
    with pytest.raises(ConfigError, match=match):
        kind(**values)


def test_a_setting_of_a_later_version_is_refused():
    with pytest.raises(ConfigError, match=r"unknown model settings \['colour'\]"):
        model_from_dict({"channels": 8, "colour": 1})


def test_settings_of_an_older_version_take_their_defaults():
    assert model_from_dict({"channels": 8}) == ModelConfig(channels=8)


def test_parse_changes_gives_each_its_type():
    texts = (
        "split_rounds=2",
        "split_foreground=false",
        "weigh_area=true",
        "attention=off",
        "grid=0",
        "minimal_area=-1",
    )
    changes = parse_changes(texts)
    assert changes == {
        "split_rounds": 2,
        "split_foreground": False,
        "weigh_area": True,
        "attention": "off",
        "grid": 0,
        "minimal_area": -1,  # ModelConfig says what is wrong with it
    }
    assert [type(value) for value in changes.values()] == [int, bool, bool, str, int, int]
    assert parse_changes(()) == {}


@pytest.mark.parametrize(
    "text",
    [
        "colour=1",
        "split_rounds",
        "split_rounds=",
        "split_rounds=-",
        "split_rounds=--1",
        "split_rounds=two",
        "weigh_area=1",
        "=3",
    ],
)
def test_changes_that_make_no_sense_are_refused(text: str):
    with pytest.raises(ConfigError):
        parse_changes((text,))
