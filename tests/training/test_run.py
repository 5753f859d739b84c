import dataclasses
import json
from pathlib import Path

import pytest
import torch

from helpers.training_runs import CASES, CPU, SPEC, SYNTHETIC, TINY, cases_of, copy_of
from psmnet.data.dataset_file import DatasetFile
from psmnet.errors import InputError
from psmnet.models.build import changed
from psmnet.models.weights import WEIGHTS_NAME, load_weights
from psmnet.system.locks import LOCK_NAME
from psmnet.training.run import run_training


def test_a_run_writes_weights_that_say_what_they_saw(data: Path, tmp_path: Path):
    lines: list[str] = []
    told: list[int] = []
    path = run_training(
        SPEC, tmp_path / "run", data=data, device=CPU, say=lines.append, report=lambda step, _: told.append(step)
    )
    assert path == tmp_path / "run" / WEIGHTS_NAME
    assert told == [1, 2]
    assert lines == [
        "reading 4 training cases: 3, 4, 5, 6; kept out: 1 (test), 2 (support)",
        "training 2 steps of 1 image pairs",
    ]
    weights = load_weights(tmp_path / "run")
    assert weights.config == changed(TINY.model)
    record = weights.trained_on
    # Fold 0 of six cases tests the first; the next one supports.
    assert record.cases == {i: cases_of(data)[i].checksum() for i in ("3", "4", "5", "6")}
    assert (record.dataset, record.fold, record.setting, record.group) == ("phantom", 0, 1, None)
    assert (record.preset, record.steps, record.seed, record.init) == ("tiny", 2, 0, None)
    assert record.licence == "Apache-2.0"
    assert not (tmp_path / "run" / LOCK_NAME).exists()


def test_the_record_names_the_same_cases(data: Path, tmp_path: Path):
    spec = dataclasses.replace(SPEC, fold=4, support_cases=2, steps=1)
    record = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU)).trained_on
    assert list(record.cases) == ["3", "4"]  # 5 and 6 are tested, 1 and 2 support
    assert record.steps == 1


def test_without_a_fold_all_cases_are_trained_on(data: Path, tmp_path: Path):
    spec = dataclasses.replace(SPEC, fold=None, steps=1)
    record = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU)).trained_on
    assert list(record.cases) == [str(i) for i in range(1, CASES + 1)]
    assert record.fold is None


def test_synthetic_training_needs_no_data(finished_synthetic_run: Path):
    weights = load_weights(finished_synthetic_run)
    assert weights.trained_on.dataset == "synthetic"
    assert weights.trained_on.cases == {}
    assert weights.trained_on.setting is None
    assert weights.trained_on.licence == "none: synthetic images only"


def test_the_same_spec_gives_the_same_bytes_and_another_seed_others(finished_synthetic_run: Path, tmp_path: Path):
    first = finished_synthetic_run / WEIGHTS_NAME
    assert run_training(SYNTHETIC, tmp_path / "b", device=CPU).read_bytes() == first.read_bytes()
    other = load_weights(run_training(dataclasses.replace(SYNTHETIC, seed=1), tmp_path / "c", device=CPU))
    assert not torch.equal(next(other.model.parameters()), next(load_weights(first).model.parameters()))


def test_training_on_superpixels_and_on_synthetic_images_says_so(finished_run: Path, finished_synthetic_run: Path):
    assert load_weights(finished_run).trained_on.pseudolabels == "superpixels"
    assert load_weights(finished_synthetic_run).trained_on.pseudolabels is None


def test_faults_of_the_prepared_data_are_faults_of_the_weights(data: Path, tmp_path: Path):
    folder = copy_of(data, tmp_path / "data")
    DatasetFile(dataset="phantom", version="0", legacy=("extra-slice", "crop-origin")).write_into(folder)
    found = {}
    for legacy in ((), ("class-slices",)):
        spec = dataclasses.replace(SPEC, setting=2, group="upper", legacy=legacy, steps=1)
        path = run_training(spec, tmp_path / f"run{len(legacy)}", data=folder, device=CPU)
        found[legacy] = load_weights(path).trained_on.legacy
    assert found == {
        (): ["crop-origin", "extra-slice"],
        ("class-slices",): ["class-slices", "crop-origin", "extra-slice"],
    }


def test_a_refused_run_can_be_asked_for_again_with_the_right_folder(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no folder"):
        run_training(SPEC, tmp_path / "run", data=tmp_path / "typo", device=CPU)
    run_training(SPEC, tmp_path / "run", data=data, device=CPU)


def test_a_killed_run_resumes_to_the_same_bytes(data: Path, finished_run: Path, tmp_path: Path):
    def stop(step: int, losses: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(SPEC, tmp_path / "cut", data=data, device=CPU, report=stop)
    assert not (tmp_path / "cut" / WEIGHTS_NAME).exists()
    assert not (tmp_path / "cut" / LOCK_NAME).exists()
    told: list[int] = []
    cut = run_training(
        SPEC, tmp_path / "cut", data=data, device=CPU, resume=True, report=lambda step, _: told.append(step)
    )
    assert told == [2]
    assert cut.read_bytes() == (finished_run / WEIGHTS_NAME).read_bytes()


@pytest.mark.parametrize("method", ["panet", "alpnet", "adnet", "qnet"])
def test_every_method_trains_and_says_so(data: Path, tmp_path: Path, method: str):
    spec = dataclasses.replace(SPEC, method=method, precision="bfloat16")
    weights = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU))
    assert (weights.config.method, weights.trained_on.method) == (method, method)
    assert weights.trained_on.precision == "bfloat16"
    losses = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert losses["alignment"] > 0
    assert ("threshold" in losses) == (method == "adnet")
