"""Learnings of the bench, done in earnest but with two steps: whether all masks are there, and are not made twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from psmnet.data.store import find_cases
from psmnet.errors import ConfigError
from psmnet.evaluation.bench import cohort_learning
from psmnet.evaluation.bench.cohort_learning import STAGES_NAME, LearningInputs, learn_stages, settings_of
from psmnet.evaluation.bench.cohort_recipe import CohortEntry, CohortRecipe
from psmnet.evaluation.bench.run import BenchFolders, Progress, found_finished, run_benchmark, steps_done
from psmnet.io import read_labels, read_volume
from psmnet.learning import STAGES, WORK_NAME
from psmnet.segmentation import load_learned
from psmnet.system.workers import in_this_process

SET = ("voters=2", "rounds=1", "registration=false")


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "psmnet.system.workers.in_processes",
        lambda factory, items, count, timeout_s: in_this_process(factory(), items),
    )


def inputs_of(phantoms: Path, weights: Path, cohort: str, left_out: str) -> LearningInputs:
    cases = {case.id: case for case in find_cases(phantoms)}
    return LearningInputs(
        supports=[cases["2"]],
        cohort={case: cases[case].image_path for case in cohort},
        left_out={case: cases[case].image_path for case in left_out},
        values=(1, 2),
        settings=settings_of(SET, seed=0, steps=2),
        weights=str(weights),
        device="cpu",
        threads=1,
    )


def test_masks_of_every_stage_of_what_is_scored_in_the_cohort_and_left_out(
    phantoms, tiny_weights, tmp_path, monkeypatch
):
    run, damaged = tmp_path / "run", tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"no image")
    inputs = inputs_of(phantoms, tiny_weights, "13456", "")
    inputs = replace(inputs, cohort={**inputs.cohort, "damaged": damaged})
    found = learn_stages(inputs, run)
    assert set(found.failed) == {"damaged"}
    assert list(found.masks) == list(STAGES)
    for files in found.masks.values():
        assert list(files) == ["1", "3", "4", "5", "6"]
        for case, path in files.items():
            mask, image = read_labels(path), read_volume(phantoms / f"image_{case}.nii.gz")
            assert mask.array_zyx.shape == image.array_zyx.shape
            assert mask.spacing_mm == image.spacing_mm
    first, vote = (read_labels(found.masks[stage]["1"]).array_zyx for stage in STAGES[:2])
    assert {1, 2} <= set(first.ravel().tolist())
    assert (first != vote).any()
    assert not (run / WORK_NAME).exists()
    assert load_learned(found.weights).taught_by.steps == 2
    monkeypatch.setattr(cohort_learning, "learn_network", None)  # a finished one is not repeated
    assert learn_stages(inputs, run) == found
    with pytest.raises(TypeError):
        learn_stages(inputs_of(phantoms, tiny_weights, "1345", ""), run)


def test_labels_alone(phantoms, tiny_weights, tmp_path):
    found = learn_stages(inputs_of(phantoms, tiny_weights, "", "16"), tmp_path / "run")
    assert {stage: list(files) for stage, files in found.masks.items()} == {"final": ["1", "6"]}
    taught = load_learned(found.weights).taught_by
    assert (len(taught.labelled), taught.cohort, taught.steps) == (1, (), 2)


def test_what_a_recipe_of_this_kind_ignores_is_refused(phantoms, tmp_path):
    recipe = CohortRecipe("phantom", "cohort")
    folders = BenchFolders(phantoms, tmp_path / "out", tmp_path / "runs", pseudolabels=phantoms)
    with pytest.raises(ConfigError, match="pseudo-labels for a recipe of learning from a cohort"):
        next(run_benchmark(recipe, folders, device="cpu"))


def test_a_benchmark_from_a_recipe_to_results(phantoms, tiny_weights, tmp_path):
    entries = (CohortEntry("learn", SET), CohortEntry("student", ("rounds=1",)))
    recipe = CohortRecipe("phantom", "cohort", entries, folds=(0,), steps=2, weights=str(tiny_weights))
    folders = BenchFolders(phantoms, tmp_path / "out", tmp_path / "runs")
    assert found_finished(recipe, folders) == Progress(0, 6, 0, 3)
    assert steps_done(recipe, folders) == (0, 6)
    results = [result for _, result in run_benchmark(recipe, folders, device="cpu")]
    assert [len(files) for files in results] == [4, 1, 1], results
    assert found_finished(recipe, folders) == Progress(6, 6, 3, 3)
    assert steps_done(recipe, folders) == (6, 6)
    stages = list(folders.runs.rglob(STAGES_NAME))
    made = [path.stat().st_mtime_ns for path in stages]
    assert [result for _, result in run_benchmark(recipe, folders, device="cpu")] == results
    assert [path.stat().st_mtime_ns for path in stages] == made
