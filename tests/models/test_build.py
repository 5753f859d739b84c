import dataclasses
import json

import pytest
import torch

from psmnet.config import PRESETS, ModelConfig
from psmnet.errors import ConfigError
from psmnet.models.build import build_model, changed, model_from_record, model_record
from psmnet.models.encoder import CompactEncoder, ResNetEncoder
from psmnet.models.registry import METHODS

TRAINED = [name for name, method in METHODS.items() if method.trained]


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_configuration_comes_back_from_its_record(method, preset):
    config = changed(PRESETS[preset].model, method)
    record = json.loads(json.dumps(model_record(config)))
    assert model_from_record(record) == config
    assert set(config.settings) == {f.name for f in dataclasses.fields(METHODS[method].settings_class())}


def test_settings_of_an_older_version_take_their_defaults():
    assert model_from_record({"channels": 8}) == changed(ModelConfig(channels=8))


def test_a_setting_of_a_later_version_is_refused():
    with pytest.raises(ConfigError, match="unknown settings colour of psmnet"):
        model_from_record({"channels": 8, "colour": 1})


def test_changes_have_the_types_of_what_they_change():
    texts = [
        "split_rounds=2",
        "split_foreground=false",
        "weigh_area=true",
        "attention=off",
        "alignment=1",
        "channels=8",
    ]
    config = changed(ModelConfig(), None, texts)
    expected = {"split_rounds": 2, "split_foreground": False, "weigh_area": True, "attention": "off", "alignment": 1.0}
    assert {name: config.settings[name] for name in expected} == expected
    assert [type(config.settings[name]) for name in expected] == [int, bool, bool, str, float]
    assert config.channels == 8


def test_another_method_begins_with_its_own_defaults():
    config = changed(changed(ModelConfig(), None, ["grid=2"]), "alpnet")
    assert config.settings == dataclasses.asdict(METHODS["alpnet"].settings_class()())
    assert changed(config, "alpnet", ["grid=8"]).settings["grid"] == 8


@pytest.mark.parametrize(
    "text",
    [
        "colour=1",
        "method=panet",
        "split_rounds",
        "split_rounds=",
        "split_rounds=-",
        "split_rounds=--1",
        "split_rounds=two",
        "split_rounds=9",
        "minimal_area=0",
        "grid=-1",
        "attention=on",
        "weigh_area=1",
        "alignment=much",
        "alignment=-1",
        "=3",
    ],
)
def test_changes_that_make_no_sense_are_refused(text):
    with pytest.raises(ConfigError, match=text.partition("=")[0] or "setting ''"):
        changed(ModelConfig(), None, [text])


@pytest.mark.parametrize("method", ["psmnet", "panet", "alpnet"])
def test_a_window_larger_than_the_features_is_refused(method):
    model = build_model(ModelConfig(method=method, channels=16, input_size=32, settings={"grid": 9}))
    with pytest.raises(ConfigError, match="a grid of 9 x 9 windows; give 0 to 8"):
        model.describe(model.encode(torch.zeros(1, 1, 32, 32)), torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(("preset", "encoder"), [("compact", CompactEncoder), ("paper", ResNetEncoder)])
def test_presets_build_their_encoder(preset, encoder):
    assert isinstance(build_model(PRESETS[preset].model).encoder, encoder)


@pytest.mark.parametrize("attention", ["text", "release"])
def test_attention_is_of_the_form_that_is_asked_for(attention):
    model = build_model(ModelConfig(channels=16, settings={"attention": attention}))
    assert model.attention.form == attention


def test_unknown_names_are_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="unknown method 'unet'; give one of psmnet"):
        build_model(ModelConfig(method="unet"))
    with pytest.raises(ConfigError, match="registration is not trained and has no network; give one of psmnet"):
        build_model(ModelConfig(method="registration"))
    with pytest.raises(ConfigError, match="unknown encoder 'vit'"):
        build_model(ModelConfig(encoder="vit"))
