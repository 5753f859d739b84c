"""Files that the version before `*_at_inference` wrote (commit f916018), with a network of 8 channels."""

import dataclasses
import json
import zipfile
from pathlib import Path

import pytest
import torch

from helpers.places import REPOSITORY
from psmnet.config import PRESETS, AugmentConfig, Preset, TrainConfig
from psmnet.data.store import find_cases
from psmnet.errors import ConfigError
from psmnet.evaluation.bench.recipe import read_recipe
from psmnet.evaluation.evaluator import evaluate
from psmnet.models.build import changed
from psmnet.models.encoder import CompactEncoder
from psmnet.models.old_names import NEW_NAMES
from psmnet.models.weights import load_weights
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec

CPU = torch.device("cpu")
OLD = "grid_in_use=4", "position_in_use=0.5"
SPEC = RunSpec("synthetic", changes=("grid_at_inference=4", "position_at_inference=0.5"))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files, and the small network and training that they are of."""
    monkeypatch.setattr(CompactEncoder.__init__, "__defaults__", ((8, 8, 8, 8),))
    recipe = TrainConfig(
        steps=2,
        pairs=1,
        targets=1,
        optimiser="sgd",
        checkpoint_every=1,
        augment=AugmentConfig(elastic_alpha_px=0),
    )
    model = dataclasses.replace(PRESETS["compact"].model, channels=8, input_size=64)
    monkeypatch.setitem(PRESETS, "compact", Preset(model, recipe))
    zipfile.ZipFile(REPOSITORY / "tests" / "data_files" / "before_at_inference.zip").extractall(tmp_path)
    return tmp_path


def test_old_weights_give_the_scores_that_they_gave(files: Path, phantoms: Path):
    weights = load_weights(files / "finished", None, ["refine_at_inference=2"])
    assert weights.config.settings["position_at_inference"] == 0.5
    assert weights.variant == "grid_at_inference=4,position_at_inference=0.5,refine_at_inference=2"
    before = json.loads((files / "results.json").read_text(encoding="utf-8"))
    now = evaluate(weights, find_cases(phantoms), dataset_name="phantom", fold=0)
    assert len(now["cases"]) == len(before["cases"])
    for one, other in zip(now["cases"], before["cases"], strict=True):
        for name, value in other.items():
            assert one[name] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value)


def test_an_old_run_is_finished_and_an_unfinished_one_goes_on(files: Path):
    said: list[str] = []
    path = run_training(SPEC, files / "finished", device=CPU, resume=True, say=said.append)
    assert (path, said) == (files / "finished" / "weights.safetensors", ["this run is finished"])
    steps: list[int] = []
    path = run_training(SPEC, files / "unfinished", device=CPU, resume=True, report=lambda step, _: steps.append(step))
    assert steps == [2]
    assert load_weights(path).config.settings["grid_at_inference"] == 4


def test_an_old_run_of_other_settings_is_refused(files: Path):
    other = dataclasses.replace(SPEC, changes=("grid_at_inference=2",))
    with pytest.raises(ConfigError, match="was begun with changes"):
        run_training(other, files / "unfinished", device=CPU, resume=True)


def test_old_names_typed_by_a_user_give_a_warning(files: Path):
    with pytest.warns(
        FutureWarning, match="the setting (grid|position)_in_use is now called (grid|position)_at_inference"
    ):
        config = changed(PRESETS["compact"].model, None, OLD)
    assert config == changed(PRESETS["compact"].model, None, SPEC.changes)
    with pytest.warns(FutureWarning, match="is now called"):
        run_training(dataclasses.replace(SPEC, changes=OLD), files / "unfinished", device=CPU, resume=True)


def test_old_recipes_are_read_with_a_warning(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "dataset: phantom\nmethods:\n  - {method: psmnet, set: [grid_in_use=4], after: [refine_in_use=2]}\n",
        encoding="utf-8",
    )
    with pytest.warns(FutureWarning, match="is now called"):
        (entry,) = read_recipe(path).methods
    assert (entry.set, entry.after) == (("grid_at_inference=4",), ("refine_at_inference=2",))


def test_no_old_name_is_left():
    """So that records and texts of this version need no translation."""
    for path in (REPOSITORY / "src").rglob("*.py"):
        if path.name != "old_names.py":
            text = path.read_text(encoding="utf-8")
            assert not [name for name in NEW_NAMES if name in text], path
