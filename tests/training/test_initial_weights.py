import dataclasses
from pathlib import Path

import pytest
import torch

from helpers.training_runs import CPU, SPEC, SYNTHETIC, TINY, cases_of
from psmnet.config import PRESETS
from psmnet.errors import ConfigError
from psmnet.models.weights import load_weights
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec


def test_training_can_begin_with_other_weights(finished_synthetic_run: Path, tmp_path: Path):
    first = load_weights(finished_synthetic_run)
    spec = dataclasses.replace(SYNTHETIC, init=str(finished_synthetic_run))
    second = load_weights(run_training(spec, tmp_path / "b", device=CPU))
    assert second.trained_on.init == first.sha256
    assert not torch.equal(next(second.model.parameters()), next(first.model.parameters()))


def test_what_initial_weights_saw_counts_as_seen(data: Path, tmp_path: Path):
    everything = run_training(dataclasses.replace(SPEC, fold=None, steps=1), tmp_path / "all", data=data, device=CPU)
    spec = dataclasses.replace(SPEC, steps=1, init=str(everything))
    record = load_weights(run_training(spec, tmp_path / "fold", data=data, device=CPU)).trained_on
    checksums = {case_id: case.checksum() for case_id, case in cases_of(data).items()}
    assert record.cases == checksums  # the fold's test and support cases too
    assert record.licence == "Apache-2.0"
    synthetic = RunSpec("synthetic", preset="tiny", steps=1, init=str(everything))
    record = load_weights(run_training(synthetic, tmp_path / "synthetic", device=CPU)).trained_on
    assert record.cases == {f"phantom/{case_id}": checksum for case_id, checksum in checksums.items()}
    assert record.licence == "none: synthetic images only; Apache-2.0"


def test_weights_of_another_network_can_not_begin_a_training(
    finished_synthetic_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wider = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, channels=24))
    monkeypatch.setitem(PRESETS, "wider", wider)
    spec = RunSpec("synthetic", preset="wider", init=str(finished_synthetic_run))
    with pytest.raises(ConfigError, match="another network"):
        run_training(spec, tmp_path / "b", device=CPU)


def test_setting_2_does_not_begin_with_weights_that_saw_its_classes(data: Path, finished_run: Path, tmp_path: Path):
    lower = dataclasses.replace(SPEC, setting=2, group="lower", steps=1)
    first = run_training(lower, tmp_path / "lower", data=data, device=CPU)
    for init, message in (
        (finished_run, "trained in Setting 1, where test classes were visible"),
        (first, "trained for group lower, where classes of upper were visible; begin with weights of the"),
    ):
        upper = dataclasses.replace(SPEC, setting=2, group="upper", init=str(init))
        with pytest.raises(ConfigError, match=message):
            run_training(upper, tmp_path / "upper", data=data, device=CPU)
    again = dataclasses.replace(lower, init=str(first))
    assert load_weights(run_training(again, tmp_path / "again", data=data, device=CPU)).trained_on.group == "lower"


def test_setting_1_is_not_forgotten_on_the_way_through_synthetic_images(data: Path, finished_run: Path, tmp_path: Path):
    synthetic = dataclasses.replace(SPEC, dataset="synthetic", fold=None, init=str(finished_run))
    run_training(synthetic, tmp_path / "two", device=CPU)
    assert load_weights(str(tmp_path / "two")).trained_on.setting == 1
    third = dataclasses.replace(SPEC, setting=2, group="upper", init=str(tmp_path / "two"))
    with pytest.raises(ConfigError, match="was trained in Setting 1, where test classes were visible"):
        run_training(third, tmp_path / "three", data=data, device=CPU)


def test_faults_of_initial_weights_stay_recorded(data: Path, tmp_path: Path):
    faulty = dataclasses.replace(SPEC, legacy=("superpixel-ids",))
    run_training(faulty, tmp_path / "one", data=data, device=CPU)
    run_training(dataclasses.replace(SPEC, init=str(tmp_path / "one")), tmp_path / "two", data=data, device=CPU)
    assert load_weights(str(tmp_path / "two")).trained_on.legacy == ["superpixel-ids"]


def test_the_stricter_rule_does_not_begin_with_weights_of_the_other(data: Path, tmp_path: Path):
    two = dataclasses.replace(SPEC, setting=2, group="upper", setting2="all")
    run_training(two, tmp_path / "all", data=data, device=CPU)
    with pytest.raises(ConfigError, match="rule all of Setting 2, where slices with one test class were visible"):
        run_training(
            dataclasses.replace(two, setting2="any", init=str(tmp_path / "all")),
            tmp_path / "any",
            data=data,
            device=CPU,
        )
