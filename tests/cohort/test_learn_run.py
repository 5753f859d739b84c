"""Learnings from paths to RUN: what is written, kept, gone on with and refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import contents
from helpers.learnings import LABELS, cohort_of, quick_job, quick_settings
from psmnet.cohort.learn_record import LearnRecord
from psmnet.cohort.learn_run import learn_cohort
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, write_volume
from psmnet.segmentation.learned_weights import load_learned
from psmnet.system.workers import Workers

pytestmark = pytest.mark.usefixtures("one_process")


class Killed(BaseException):
    """What a kill is to a test: nothing catches it."""


def masks_and_weights(run: Path) -> dict[str, bytes]:
    """What a learning is made for."""
    return {
        name: content
        for name, content in contents(run).items()
        if name.endswith(("_seg.nii.gz", ".safetensors", "metrics.jsonl"))
    }


def edit(mask: Path) -> bytes:
    """Correct a mask by hand: a block of label 1 in a corner."""
    labels = read_labels(mask)
    array = labels.array_zyx.copy()
    array[:3, :5, :5] = 1
    write_volume(labels.with_array(array), mask)
    return mask.read_bytes()


def test_what_is_written(learned_once):
    run = learned_once / "run"
    names = [f"image_{number}" for number in (2, 3, 4, 5)]
    assert {path.name for path in run.iterdir()} == {
        *("learn.json", "masks", "metrics.jsonl", "report.html", "weights.safetensors")
    }, "no work folder: it holds images"
    assert {path.name for path in (run / "masks").glob("*_seg.nii.gz")} == {f"{name}_seg.nii.gz" for name in names}
    record = LearnRecord.read(run / "learn.json")
    assert [scan.name for scan in record.scans] == names
    assert record.labels == {value: f"label_{value}" for value in LABELS}
    assert list(record.scans[0].organs) == [f"label_{value}" for value in LABELS]
    assert (record.supports[0].image, record.supports[0].labels) == (
        "../data/image_1.nii.gz",
        "../data/label_1.nii.gz",
    )
    weights = load_learned(run)
    assert weights.sha256 == record.weights_sha256
    assert (weights.taught_by.steps, len(weights.taught_by.cohort)) == (2, 4)
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(step["round"], step["step"]) for step in steps] == [(1, 1), (1, 2)]
    assert {"first masks", "vote", "training", "masks", "pictures"} <= set(record.seconds)


def test_no_file_of_a_run_holds_the_path_of_its_scans(learned_once):
    for name, content in contents(learned_once / "run").items():
        assert str(learned_once).encode() not in content, name


def test_a_finished_learning_is_kept(learned, tiny_weights):
    before = {path: path.stat().st_mtime_ns for path in (learned / "run").rglob("*.nii.gz")}
    stages = []
    again = learn_cohort(
        quick_job(learned / "data", tiny_weights, learned / "run"),
        cohort_of(learned / "data"),
        progress=lambda stage, done, total, note="": stages.append(stage),
    )
    assert again.kept
    assert again.cohort.kept == 4
    assert not stages
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not (learned / "run" / "work").exists()


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        ({"settings": quick_settings(seed=1)}, (2, 3, 4, 5)),
        ({"labels": (1,)}, (2, 3, 4, 5)),
        ({}, (2, 3, 4, 5, 6)),
    ],
    ids=["seed", "labels", "cohort"],
)
def test_another_learning_in_the_same_folder_is_refused(learned, tiny_weights, change, numbers):
    before = contents(learned / "run")
    with pytest.raises(ConfigError, match="holds what was learned from other scans or with other settings; choose"):
        learn_cohort(
            quick_job(learned / "data", tiny_weights, learned / "run", **change), cohort_of(learned / "data", numbers)
        )
    assert contents(learned / "run") == before


def test_another_format_of_masks_is_another_learning(learned, tiny_weights):
    job = quick_job(learned / "data", tiny_weights, learned / "run")
    with pytest.raises(ConfigError, match="with other settings"):
        learn_cohort(job, cohort_of(learned / "data"), ending="nrrd")


@pytest.mark.parametrize(
    ("stage", "done"),
    [
        ("training", 1),
        ("masks", 2),
        *(
            pytest.param(*where, marks=pytest.mark.slow)
            for where in (("first masks", 2), ("vote", 1), ("masks after training", 3), ("pictures", 4))
        ),
    ],
)
def test_killed_and_run_again_it_ends_the_same(learned_once, tiny_weights, tmp_path, stage, done):
    job = quick_job(learned_once / "data", tiny_weights, tmp_path / "run")

    def kill(at: str, finished: int, total: int, note: str = "") -> None:
        if (at, finished) == (stage, done):
            raise Killed

    with pytest.raises(Killed):
        learn_cohort(job, cohort_of(learned_once / "data"), progress=kill)
    assert not (tmp_path / "run" / "learn.json").exists()
    learn_cohort(job, cohort_of(learned_once / "data"))
    assert masks_and_weights(tmp_path / "run") == masks_and_weights(learned_once / "run")
    assert not (tmp_path / "run" / "work").exists()


def test_the_images_of_a_run_that_was_killed_at_its_very_end_are_removed(learned, tiny_weights):
    (learned / "run" / "work" / "image_2").mkdir(parents=True)
    learn_cohort(quick_job(learned / "data", tiny_weights, learned / "run"), cohort_of(learned / "data"))
    assert not (learned / "run" / "work").exists()


@pytest.mark.slow
def test_a_damaged_scan_is_named_and_learning_goes_on_when_it_is_repaired(data, tiny_weights, tmp_path):
    whole = (data / "image_6.nii.gz").read_bytes()
    (data / "image_6.nii.gz").write_bytes(b"no scan")
    job, queries = quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data, (2, 3, 4, 5, 6))
    learned = learn_cohort(job, queries)
    assert [query.name for query, _ in learned.cohort.failed] == ["image_6"]
    assert [one.name for one in learned.record.failed] == ["image_6"]
    assert len(learned.cohort.entries) == 4
    masks = tmp_path / "run" / "masks"
    corrected = edit(masks / "image_3_seg.nii.gz")
    earlier = (masks / "image_2_seg.json").read_bytes()
    (data / "image_6.nii.gz").write_bytes(whole)
    again = learn_cohort(job, queries)
    assert not again.kept
    assert (len(again.cohort.entries), again.cohort.failed) == (5, [])
    assert (masks / "image_3_seg.nii.gz").read_bytes() == corrected
    noted = {entry.name: any("was edited" in note for note in entry.notes) for entry in again.cohort.entries}
    assert noted == {f"image_{number}": number == 3 for number in (2, 3, 4, 5, 6)}
    assert (masks / "image_2_seg.json").read_bytes() != earlier  # replaced
    anew = learn_cohort(quick_job(data, tiny_weights, tmp_path / "anew"), queries)
    there, expected = (masks_and_weights(one.out) for one in (again, anew))
    there.pop("masks/image_3_seg.nii.gz")
    expected.pop("masks/image_3_seg.nii.gz")
    assert there == expected
    assert not (tmp_path / "run" / "work").exists()


def test_a_damaged_scan_may_also_be_left_out(data, tiny_weights, tmp_path):
    (data / "image_6.nii.gz").write_bytes(b"no scan")
    job = quick_job(data, tiny_weights, tmp_path / "run")
    learn_cohort(job, cohort_of(data, (2, 3, 4, 5, 6)))
    learned = learn_cohort(job, cohort_of(data))
    assert (len(learned.record.scans), learned.record.failed) == (4, [])


def test_an_edited_mask_is_kept_in_a_finished_run(learned, tiny_weights):
    corrected = edit(learned / "run" / "masks" / "image_4_seg.nii.gz")
    again = learn_cohort(quick_job(learned / "data", tiny_weights, learned / "run"), cohort_of(learned / "data"))
    assert again.kept
    assert (learned / "run" / "masks" / "image_4_seg.nii.gz").read_bytes() == corrected


def test_masks_of_others_are_refused_before_any_work(data, tiny_weights, tmp_path):
    foreign = tmp_path / "run" / "masks" / "image_2_seg.nii.gz"
    foreign.parent.mkdir(parents=True)
    shutil.copy(data / "label_2.nii.gz", foreign)
    stages = []
    with pytest.raises(InputError, match=r"image_2_seg.nii.gz already exists"):
        learn_cohort(
            quick_job(data, tiny_weights, tmp_path / "run"),
            cohort_of(data),
            progress=lambda stage, done, total, note="": stages.append(stage),
        )
    assert not stages
    assert foreign.read_bytes() == (data / "label_2.nii.gz").read_bytes()


def test_an_edited_mask_of_a_scan_that_has_changed_is_refused(data, tiny_weights, tmp_path):
    job = quick_job(data, tiny_weights, tmp_path / "run")
    learn_cohort(job, cohort_of(data))
    corrected = edit(tmp_path / "run" / "masks" / "image_2_seg.nii.gz")
    (tmp_path / "run" / "learn.json").unlink()
    shutil.copy(data / "image_6.nii.gz", data / "image_2.nii.gz")
    with pytest.raises(InputError, match=r"image_2_seg.nii.gz already exists"):
        learn_cohort(job, cohort_of(data))
    assert (tmp_path / "run" / "masks" / "image_2_seg.nii.gz").read_bytes() == corrected


def test_copies_of_the_labelled_scan_are_left_out(data, tiny_weights, tmp_path):
    shutil.copy(data / "image_1.nii.gz", data / "image_7.nii.gz")
    learned = learn_cohort(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data, (2, 3, 4, 5, 7)))
    assert learned.record.copies == ["image_7.nii.gz"]
    assert [scan.name for scan in learned.record.scans] == ["image_2", "image_3", "image_4", "image_5"]
    assert not (tmp_path / "run" / "masks" / "image_7_seg.nii.gz").exists()
    assert ("image_7.nii.gz", "it is a copy of a labelled scan") in [
        (skip.path.name, skip.reason) for skip in learned.cohort.skipped
    ]


def test_the_vote_alone_trains_nothing(data, tiny_weights, tmp_path):
    job = quick_job(data, tiny_weights, tmp_path / "run", settings=quick_settings(vote_only=True))
    learned = learn_cohort(job, cohort_of(data))
    assert (learned.record.weights_sha256, len(learned.cohort.entries)) == (None, 4)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*("learn.json", "masks", "report.html")}
    organ = learned.record.scans[0].organs["label_1"]
    assert (organ.student, organ.vote_student) == (None, None)
    assert organ.final == pytest.approx(organ.vote, abs=1e-6)


def test_likely_poor_masks_are_warned_of(learned_once):
    (warning,) = LearnRecord.read(learned_once / "run" / "learn.json").notes
    assert warning.startswith("warning: the masks are probably poor")
    assert warning in (learned_once / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_two_workers_learn_the_same(learned_once, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.undo()
    job = quick_job(learned_once / "data", tiny_weights, tmp_path / "run")
    learn_cohort(job, cohort_of(learned_once / "data"), workers=Workers(2))
    assert masks_and_weights(tmp_path / "run") == masks_and_weights(learned_once / "run")


def test_final_masks_hold_only_labels_that_were_learned(learned_once):
    for mask in (learned_once / "run" / "masks").glob("*_seg.nii.gz"):
        assert set(np.unique(read_labels(mask).array_zyx)) <= {0, *LABELS}
