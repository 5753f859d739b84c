"""Learnings of the bench, done by a fake: which scans they get, what is scored of them, and what is kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.fake_learning import FakeLearning
from psmnet.data.store import Case
from psmnet.errors import ConfigError, InputError
from psmnet.evaluation.bench.cohort_learning import settings_of
from psmnet.evaluation.bench.cohort_recipe import CohortEntry, CohortRecipe
from psmnet.evaluation.bench.cohort_run import require_learnings_possible, run_learning
from psmnet.evaluation.bench.cohort_tasks import CohortTask, cohort_tasks
from psmnet.evaluation.bench.gather import gather_tables
from psmnet.evaluation.results_reader import find_results
from psmnet.evaluation.results_schema import masks_folder
from psmnet.evaluation.results_table import read_table, write_table
from psmnet.io import read_volume, write_volume
from psmnet.report.benchmark.words import compare, title
from psmnet.volume import Volume


def recipe_of(*methods: str, **options) -> CohortRecipe:
    entries = tuple(CohortEntry(method) for method in methods or ("learn",))
    return CohortRecipe("phantom", "cohort", entries, **({"folds": (4,), "steps": 7} | options))


@pytest.fixture
def data(phantoms: Path, tmp_path: Path) -> Path:
    """Six cases: fold 4 tests 5 and 6 with support 1; the cohort is 2, 3, 4."""
    return Path(shutil.copytree(phantoms, tmp_path / "data"))


def run(tasks: list[CohortTask], data: Path, learn: FakeLearning, **options) -> dict[str, dict]:
    found = {}
    for task in tasks:
        for path in run_learning(task, data, data.parent / "out", data.parent / "runs", learn=learn, **options):
            found[path.relative_to(data.parent / "out" / "phantom" / "s1" / "cohort").as_posix()] = json.loads(
                path.read_text()
            )
    return found


def test_every_stage_is_scored_on_whole_scans_with_the_queries_in_the_cohort_and_left_out(data):
    learn = FakeLearning()
    found = run(cohort_tasks(recipe_of("learn", "student"), data), data, learn)
    dice = {name.split("/")[0]: results["summary"]["mean"]["dice"] for name, results in found.items()}
    assert list(dice) == [
        "learn-first",
        "learn-vote,transductive",
        "learn-student,transductive",
        "learn-final,transductive",
        "learn-final,inductive",
        "student",
    ]
    assert dice["learn-first"] < dice["learn-vote,transductive"] < dice["learn-student,transductive"] < 1
    assert dice["learn-final,transductive"] == dice["learn-final,inductive"] == dice["student"] == 1
    transductive, inductive, student = learn.done
    assert [case.id for case in transductive.supports] == ["1"]
    assert list(transductive.cohort) == ["2", "3", "4", "5", "6"]
    assert list(transductive.left_out) == []
    assert (list(inductive.cohort), list(inductive.left_out)) == (["2", "3", "4"], ["5", "6"])
    assert (list(student.cohort), list(student.left_out)) == ([], ["5", "6"])
    for results in found.values():
        assert {record["case"] for record in results["cases"]} == {"5", "6"}
        assert {record["slices"] for record in results["cases"]} == {12}
        assert results["provenance"]["trained_on"]["steps"] == 3 + 7  # a first round of half as many


def test_queries_of_the_cohort_are_named(data):
    found = run(cohort_tasks(recipe_of(), data), data, FakeLearning())
    in_cohort = {name.split("/")[0]: results["provenance"]["queries_in_cohort"] for name, results in found.items()}
    assert in_cohort.pop("learn-final,inductive") == []
    assert set(map(tuple, in_cohort.values())) == {("5", "6")}


def test_labels_of_the_cohort_are_never_read_and_of_queries_only_to_score(data, monkeypatch):
    read: list[str] = []
    labels = Case.labels

    def noted(case: Case, image: Volume | None = None) -> Volume:
        read.append(case.id)
        return labels(case, image)

    monkeypatch.setattr(Case, "labels", noted)
    for case in ("2", "3", "4"):
        (data / f"label_{case}.nii.gz").write_bytes(b"not to be read")

    class Learning(FakeLearning):
        def __call__(self, inputs, run):
            assert set(read) == {"1"}
            stages = super().__call__(replace(inputs, cohort={c: inputs.cohort[c] for c in ("5", "6")}), run)
            read.clear()
            return stages

    task = cohort_tasks(recipe_of(cohorts=("transductive",)), data)[0]
    run([task], data, Learning())
    assert set(read) == {"5", "6"}


def test_copies_of_a_labelled_scan_are_neither_learned_from_nor_scored(data):
    """Case 5, a query, and case 3 are case 1 as other files: as float, with axes in another order."""
    support = read_volume(data / "image_1.nii.gz")
    write_volume(support.with_array(support.array_zyx.astype(np.float32)), data / "image_5.nii.gz")
    shutil.copy(data / "label_1.nii.gz", data / "label_5.nii.gz")
    write_volume(Volume(support.array_zyx[:, ::-1].copy(), support.spacing_mm), data / "image_3.nii.gz")
    learn = FakeLearning()
    found = run(cohort_tasks(recipe_of("learn", "student"), data), data, learn)
    assert [list(inputs.cohort) for inputs in learn.done] == [["2", "4", "6"], ["2", "4"], []]
    for results in found.values():
        assert {record["case"] for record in results["cases"]} == {"6"}
    copies = {name.split("/")[0]: results["provenance"]["copies"] for name, results in found.items()}
    assert copies == {name: ["5"] if name == "student" else ["3", "5"] for name in copies}


def test_copies_of_queries_are_left_out_with_them(data):
    shutil.copy(data / "image_6.nii.gz", data / "image_2.nii.gz")
    learn = FakeLearning()
    run(cohort_tasks(recipe_of(), data), data, learn)
    transductive, inductive = learn.done
    assert list(transductive.cohort) == ["2", "3", "4", "5", "6"]
    assert list(inductive.cohort) == ["3", "4"]
    assert list(inductive.left_out) == ["5", "6"]


def test_a_fold_of_copies_only_is_refused(data):
    for case in ("5", "6"):
        shutil.copy(data / "image_1.nii.gz", data / f"image_{case}.nii.gz")
    with pytest.raises(InputError, match="every query of fold 4 is a copy of a labelled scan"):
        run(cohort_tasks(recipe_of(), data), data, FakeLearning())


def test_what_is_finished_is_not_done_again_and_what_is_cut_short_is(data):
    tasks = cohort_tasks(recipe_of(cohorts=("transductive",)), data)
    first = run(tasks, data, FakeLearning())
    learn = FakeLearning()
    assert run(tasks, data, learn) == first
    assert learn.done == []
    path = data.parent / "out" / "phantom" / "s1" / "cohort" / "learn-first" / "fold4_seed0.json"
    path.write_text(path.read_text()[:100])
    again = run(tasks, data, learn)
    assert len(learn.done) == 1
    assert {name: results["cases"] for name, results in again.items()} == {
        name: results["cases"] for name, results in first.items()
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 8}, "was made with other settings; choose another folder"),
        ({"scheme": "adnet"}, "was made with other folds; choose another folder"),
    ],
)
def test_results_of_another_recipe_are_refused(data, changes, message):
    run(cohort_tasks(recipe_of(), data), data, FakeLearning())
    with pytest.raises(ConfigError, match=message):
        run(cohort_tasks(recipe_of(**changes), data), data, FakeLearning())


def test_results_of_other_scans_are_refused(data):
    tasks = cohort_tasks(recipe_of(), data)
    run(tasks, data, FakeLearning())
    shutil.copy(data / "image_2.nii.gz", data / "image_3.nii.gz")
    with pytest.raises(ConfigError, match="was made with other scans to learn from"):
        run(tasks, data, FakeLearning())


def test_a_query_without_a_mask_is_an_error_and_another_scan_is_not(data):
    tasks = cohort_tasks(recipe_of(cohorts=("transductive",)), data)
    with pytest.raises(InputError, match="case 5 was not segmented: it is damaged"):
        run(tasks, data, FakeLearning(failing=("5",)))
    found = run(tasks, data, FakeLearning(failing=("2",)))
    assert {tuple(results["provenance"]["failed"]) for results in found.values()} == {("2",)}


def test_masks_are_kept_where_wanted(data):
    tasks = cohort_tasks(recipe_of(cohorts=("transductive",)), data)
    run(tasks, data, FakeLearning(), save_masks=True)
    path = data.parent / "out" / "phantom" / "s1" / "cohort" / "learn-first" / "fold4_seed0.json"
    assert len(list(masks_folder(path).iterdir())) == 2 * 5  # cases, organs


def test_a_table_has_every_stage_as_a_row_and_names_the_transductive_ones(data, tmp_path):
    run(cohort_tasks(recipe_of("learn", "student", seeds=(0, 1)), data), data, FakeLearning())
    files, _ = find_results([tmp_path / "out"])
    (table,), remarks = gather_tables(files)
    assert {row.name for row in table.rows} == {
        "learn-first",
        "learn-vote,transductive",
        "learn-student,transductive",
        "learn-final,transductive",
        "learn-final,inductive",
        "student",
    }
    assert all(not row.missing and len(row.files) == 2 for row in table.rows)
    assert "In rows called transductive the queries, without labels, were among the unlabelled" in table.notes[0]
    assert remarks == [] == table.warnings
    assert title(table).startswith("phantom, cohort, Setting 1, 10 steps on phantom from weights")
    inductive, transductive = (table.row(f"learn-final,{name}") for name in ("inductive", "transductive"))
    pair = compare(1, table, transductive, None).pairs[inductive.name]
    assert (pair.difference, pair.n) == (0.0, 2)
    write_table(tmp_path / "records.csv", files)
    assert gather_tables(read_table(tmp_path / "records.csv"))[0][0].rows[0].files.keys() == table.rows[0].files.keys()


def test_settings_come_from_texts():
    settings = settings_of(["rounds=2", "share=0.25", "learning_rate=0.002"], seed=3, steps=9)
    assert (settings.rounds, settings.share, settings.seed) == (2, 0.25, 3)
    assert (settings.training.learning_rate, settings.training.steps) == (0.002, 9)
    with pytest.raises(ConfigError, match="unknown setting 'rouns'; did you mean rounds"):
        settings_of(["rouns=2"], seed=0, steps=None)


def test_what_can_not_be_done_is_said_first(data, tmp_path):
    tasks = cohort_tasks(recipe_of(weights=str(tmp_path / "none.safetensors")), data)
    with pytest.raises(InputError, match=r"no file or folder .*none\.safetensors"):
        require_learnings_possible(tasks, data, "cpu")
    entry = CohortEntry("learn", ("colour=red",))
    tasks = cohort_tasks(CohortRecipe("phantom", "cohort", (entry,), folds=(4,)), data)
    with pytest.raises(ConfigError, match="unknown setting 'colour'"):
        require_learnings_possible(tasks, data, "cpu")


def test_the_ceiling_has_all_labelled_scans_outside_the_fold(data):
    shutil.copy(data / "image_6.nii.gz", data / "image_7.nii.gz")
    shutil.copy(data / "label_6.nii.gz", data / "label_7.nii.gz")
    (data / "label_3.nii.gz").unlink()
    entries = (CohortEntry("student"),)
    tasks = cohort_tasks(CohortRecipe("folder", "cohort", entries, folds=(0,), ceiling=True), data)
    assert [task.learning.supports for task in tasks] == [("2",), ("2", "4", "5", "6", "7")]
    assert [task.learning.queries for task in tasks] == [("1",), ("1",)]
