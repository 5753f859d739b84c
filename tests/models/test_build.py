import pytest

from psmnet import catalog
from psmnet.config import PRESETS, ModelConfig
from psmnet.errors import ConfigError
from psmnet.models.build import METHODS, build
from psmnet.models.encoder import CompactEncoder, ResNetEncoder


def test_the_catalog_names_every_method():
    assert set(METHODS) == set(catalog.METHODS)


@pytest.mark.parametrize(("preset", "encoder"), [("compact", CompactEncoder), ("paper", ResNetEncoder)])
def test_presets_build_their_encoder(preset, encoder):
    assert isinstance(build(PRESETS[preset].model).encoder, encoder)


@pytest.mark.parametrize("attention", ["text", "release"])
def test_attention_is_of_the_form_that_is_asked_for(attention):
    model = build(ModelConfig(channels=16, attention=attention))
    assert model.attention.form == attention


def test_unknown_names_are_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="unknown method 'unet'; give one of psmnet"):
        build(ModelConfig(method="unet"))
    with pytest.raises(ConfigError, match="unknown encoder 'vit'"):
        build(ModelConfig(encoder="vit"))
