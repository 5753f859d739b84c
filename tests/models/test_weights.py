import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from psmnet.config import PRESETS, ModelConfig, Preset
from psmnet.errors import ConfigError, InputError
from psmnet.models import weights as weights_files
from psmnet.models.build import build_model, changed
from psmnet.models.psm_net import PSMNet
from psmnet.models.weights import (
    WEIGHTS_NAME,
    TrainingRecord,
    load_tensors,
    load_weights,
    save_tensors,
    save_weights,
)
from psmnet.volume.normalisation import Normalisation

CONFIG = ModelConfig(channels=16, input_size=32, settings={"split_rounds": 2, "attention": "text"})
RECORD = TrainingRecord(
    "phantom",
    {"1": "ab" * 32, "2": "cd" * 32},
    fold=0,
    setting=2,
    group="upper",
    preset="compact",
    steps=20,
    seed=3,
    version="0.1.0",
    licence="none",
    init="ef" * 32,
)
NORMALISATION = Normalisation("ct-fold", -12.5, 80.25)


def fresh() -> PSMNet:
    torch.manual_seed(0)
    model = build_model(CONFIG)
    assert isinstance(model, PSMNet)
    assert model.attention is not None
    for block in model.attention.w:
        nn.init.normal_(block.weight, std=0.1)
    return model


@pytest.fixture(autouse=True)
def _own_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant is what differs from the preset: of the plain network here, nothing does."""
    monkeypatch.setitem(PRESETS, "compact", Preset(model=CONFIG))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_weights(folder / WEIGHTS_NAME, fresh(), CONFIG, NORMALISATION, RECORD)
    return folder


def test_weights_round_trip(run: Path):
    weights = load_weights(run / WEIGHTS_NAME)
    assert weights.config == changed(CONFIG)
    assert weights.normalisation == NORMALISATION
    assert weights.trained_on == RECORD
    assert weights.variant is None
    assert weights.sha256 == hashlib.sha256((run / WEIGHTS_NAME).read_bytes()).hexdigest()
    assert not weights.model.training
    expected = fresh().state_dict()
    found = weights.model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_runs_folder_stands_for_its_weights(run: Path):
    assert load_weights(str(run)).sha256 == load_weights(run / WEIGHTS_NAME).sha256


def test_loading_does_not_depend_on_torchs_generator(run: Path):
    torch.manual_seed(5)
    first = load_weights(run).model.state_dict()
    second = load_weights(run).model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_same_weights_make_the_same_file(run: Path, tmp_path: Path):
    save_weights(tmp_path / "again.safetensors", fresh(), CONFIG, NORMALISATION, RECORD)
    assert (tmp_path / "again.safetensors").read_bytes() == (run / WEIGHTS_NAME).read_bytes()


def test_changes_make_a_variant(run: Path):
    weights = load_weights(run, changes=["split_rounds=0", "attention=off"])
    assert weights.variant == "attention=off,split_rounds=0"
    assert weights.config.settings["split_rounds"] == 0
    model = weights.model
    assert isinstance(model, PSMNet)
    assert model.attention is None
    assert model.settings.split_rounds == 0
    assert torch.equal(model.encoder.head.weight, fresh().encoder.head.weight)
    assert load_weights(run).sha256 == weights.sha256


def test_changed_settings_change_what_is_predicted(run: Path):
    images = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 1, 32, 32)
    masks[..., :12, 8:14] = 1  # leaves whole windows of the grid to the background

    @torch.no_grad()
    def logits(*changes: str) -> torch.Tensor:
        model = load_weights(run, changes=changes).model
        assert isinstance(model, PSMNet)
        features = model.encode(images)
        return model.match(features, model.describe(features, masks)).logits

    plain = logits()
    assert torch.equal(plain, logits("split_rounds=2"))
    for change in ("split_rounds=0", "attention=off", "grid_at_inference=0", "weigh_area_at_inference=true"):
        assert not torch.equal(plain, logits(change))


@pytest.mark.parametrize("method", ["panet", "alpnet"])
def test_another_method_uses_the_same_encoder(run: Path, method: str):
    weights = load_weights(run, method)
    assert weights.config == changed(dataclasses.replace(CONFIG, method=method, settings={}))
    assert weights.variant is None
    assert weights.trained_on.method == "psmnet"
    assert type(weights.model) is type(build_model(weights.config))
    assert torch.equal(weights.model.encoder.head.weight, fresh().encoder.head.weight)


@pytest.mark.parametrize("method", ["adnet", "qnet"])
def test_a_method_with_parts_of_its_own_needs_weights_of_its_own(run: Path, method: str):
    with pytest.raises(InputError, match=rf"was trained with psmnet and lacks what {method} trains \(threshold"):
        load_weights(run, method)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("colour=1", "setting 'colour'; give NAME=VALUE with one of encoder, channels"),
        ("split_rounds=99", "split_rounds is 99"),
        ("attention=on", "attention is 'on'"),
        ("encoder=unet", "unknown encoder 'unet'"),
    ],
)
def test_changes_that_no_model_has(run: Path, change: str, match: str):
    with pytest.raises(ConfigError, match=match):
        load_weights(run, changes=[change])


def test_changes_that_the_tensors_do_not_fit(run: Path):
    with pytest.raises(InputError, match="does not fit") as caught:
        load_weights(run, changes=["channels=8"])
    assert "\n" not in str(caught.value)


def test_weights_without_attention_get_none_by_a_change(tmp_path: Path):
    config = ModelConfig(channels=16, input_size=32, settings={"attention": "off"})
    save_weights(tmp_path / "w.safetensors", build_model(config), config, NORMALISATION, RECORD)
    assert load_weights(tmp_path / "w.safetensors").config == changed(config)
    with pytest.raises(InputError, match="does not fit"):
        load_weights(tmp_path / "w.safetensors", changes=["attention=text"])


def test_no_weights_there(tmp_path: Path):
    with pytest.raises(InputError, match=r"no file or folder .*absent"):
        load_weights(tmp_path / "absent.safetensors")


def test_a_run_that_did_not_finish(tmp_path: Path):
    with pytest.raises(InputError, match=r"has no weights.safetensors; give the folder of a finished training"):
        load_weights(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flipped header", "empty", "text"])
def test_a_damaged_file(run: Path, tmp_path: Path, damage: str):
    content = (run / WEIGHTS_NAME).read_bytes()
    content = {
        "cut": content[: len(content) // 2],
        "flipped header": bytes([content[0] ^ 0xFF]) + content[1:],
        "empty": b"",
        "text": b"these are not the weights you look for",
    }[damage]
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors is damaged or is not a weights file; copy it again"):
        load_weights(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"psmnet": "not json"}])
def test_a_safetensors_file_that_is_not_ours(tmp_path: Path, metadata: dict[str, str] | None):
    save_file({"a": torch.zeros(2)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(InputError, match="is damaged or is not a weights file"):
        load_weights(tmp_path / "w.safetensors")


def test_a_training_checkpoint_is_not_weights(tmp_path: Path):
    save_tensors(tmp_path / "c.safetensors", {"model/a": torch.zeros(2)}, {"step": 3, "train": {}})
    with pytest.raises(InputError, match="does not fit"):
        load_weights(tmp_path / "c.safetensors")


def rewritten(run: Path, path: Path, part: str, **values: Any) -> Path:
    tensors, record = load_tensors(run / WEIGHTS_NAME)
    save_tensors(path, tensors, record | {part: record[part] | values})
    return path


def test_a_model_setting_of_a_later_version(run: Path, tmp_path: Path):
    path = rewritten(run, tmp_path / "w.safetensors", "model", colour=1)
    with pytest.raises(ConfigError, match=r"unknown settings colour of psmnet"):
        load_weights(path)


@pytest.mark.parametrize("part", ["normalisation", "trained_on"])
def test_a_record_of_a_later_version(run: Path, tmp_path: Path, part: str):
    with pytest.raises(InputError, match="does not fit this version"):
        load_weights(rewritten(run, tmp_path / "w.safetensors", part, colour=1))


def test_tensors_round_trip_and_a_failed_write_leaves_nothing(tmp_path: Path):
    tensors = {"a": torch.arange(3), "b/c": torch.randn(2, 3).T, "d": torch.tensor(True)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"step": 4, "names": ["ä"]})
    found, record = load_tensors(tmp_path / "t.safetensors")
    assert record == {"step": 4, "names": ["ä"]}
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    with pytest.raises(ValueError, match="JSON"):
        save_tensors(tmp_path / "bad.safetensors", tensors, {"loss": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


# ---- damage ----------------------------------------------------------------------------------------------------


def test_the_bundled_file_is_the_one_that_was_published():
    assert hashlib.sha256(weights_files.BUNDLED.read_bytes()).hexdigest() == weights_files.BUNDLED_SHA256


def test_flipped_bits_in_the_bundled_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = bytearray(weights_files.BUNDLED.read_bytes())
    for position in range(len(content) // 2, len(content) // 2 + 125):
        content[position] ^= 0b0000_0010  # every value stays finite
    damaged = tmp_path / "bundled.safetensors"
    damaged.write_bytes(content)
    monkeypatch.setattr(weights_files, "BUNDLED", damaged)
    with pytest.raises(InputError, match=r"the bundled weights file .* is damaged: .*; install psmnet again"):
        load_weights("bundled")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(run: Path, tmp_path: Path, value: float):
    tensors, record = load_tensors(run / WEIGHTS_NAME)
    tensors["encoder.head.weight"][0, 0] = value
    save_tensors(tmp_path / "bad.safetensors", tensors, record)
    with pytest.raises(InputError, match=r"values that are not finite \(encoder.head.weight\)"):
        load_weights(tmp_path / "bad.safetensors")
