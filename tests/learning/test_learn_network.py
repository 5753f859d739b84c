"""A learning from labelled scans and a cohort to a network."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.learnings import LABELS, cohort_of, quick_job, quick_settings
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, write_volume
from psmnet.learning import run as learning_run
from psmnet.learning.first_masks import FirstMask
from psmnet.learning.run import learn_network
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.student_masks import STUDENT
from psmnet.segmentation.learned_weights import load_learned

pytestmark = pytest.mark.usefixtures("one_process")


def test_what_is_learned(data, tiny_weights, tmp_path):
    progress: list[tuple[str, int, int]] = []
    learned = learn_network(
        quick_job(data, tiny_weights, tmp_path / "run"),
        cohort_of(data),
        progress=lambda stage, done, total, note="": progress.append((stage, done, total)),
    )
    names = ["image_2", "image_3", "image_4", "image_5"]
    assert [query.name for query in learned.queries] == names
    opinions = learned.opinions
    assert list(opinions.first) == list(opinions.votes) == list(opinions.student) == names
    assert all(len(one.confidence) == len(LABELS) for one in opinions.votes.values())
    assert progress[:6] == [("first masks", done, 4) for done in range(5)] + [("vote", 0, 4)]
    assert [step for step in progress if step[0] == "training"] == [("training", 1, 2), ("training", 2, 2)]
    weights = load_learned(learned.weights)
    assert {value: organ.name for value, organ in weights.organs.items()} == {1: "label_1", 4: "label_4"}
    assert weights.view == learned.loaded.view
    stored = ScanStore(learned.job.work, "image_2").require(STUDENT, opinions.student["image_2"].key)
    assert stored["probabilities"].shape == opinions.probabilities("image_2").shape


def test_rounds_with_registration(data, tiny_weights, tmp_path, quick_registration):
    """The first round, which tells whom to trust, has half the steps; then registration has a weight."""
    job = quick_job(data, tiny_weights, tmp_path / "run", settings=quick_settings(rounds=2, registration=True, steps=4))
    stages: list[tuple[str, int]] = []
    learned = learn_network(
        job, cohort_of(data), progress=lambda stage, done, total, note="": stages.append((stage, total))
    )
    assert list(dict.fromkeys(stages)) == [
        *(("first masks", 4), ("vote", 4)),
        *(("training 1 of 2", 2), ("masks after training 1 of 2", 4)),
        *(("training 2 of 2", 4), ("masks after training 2 of 2", 4)),
    ]
    assert all(0 < weight < 1 for weight in learned.opinions.registration)
    assert len(learned.trainings) == 2
    assert all(one.agreement is not None for one in learned.opinions.votes.values())


def test_fewer_than_four_scans(data, tiny_weights, tmp_path):
    with pytest.raises(InputError, match=r"^3 unlabelled scans that can be used; give at least 4, or segment them"):
        learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data, (2, 3, 4)))


def test_fewer_than_four_whole_scans_name_the_first_that_failed(data, tiny_weights, tmp_path):
    (data / "image_5.nii.gz").write_bytes(b"no scan")
    with pytest.raises(
        InputError, match=r"3 unlabelled scans that can be used \(image_5.nii.gz: .*\); give at least 4"
    ):
        learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data))


def test_copies_do_not_count_as_unlabelled(data, tiny_weights, tmp_path):
    shutil.copy(data / "image_1.nii.gz", data / "image_7.nii.gz")
    with pytest.raises(InputError, match="3 unlabelled scans"):
        learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data, (2, 3, 4, 7)))


def test_an_organ_that_is_found_nowhere(data, tiny_weights, tmp_path, monkeypatch):
    class Blind:
        def __init__(self, *_: object) -> None: ...

        def __call__(self, query):
            return FirstMask(query.name, "k", "c", 12.0, (0.8, 0.0), None)

    monkeypatch.setattr(learning_run, "FirstMasks", Blind)
    line = r"label_4 \(label 4\) is found in none of the 4 unlabelled scans; label a scan in which it looks more like"
    with pytest.raises(InputError, match=line):
        learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data))


def test_a_damaged_scan_is_named_and_the_others_are_learned_from(data, tiny_weights, tmp_path):
    (data / "image_3.nii.gz").write_bytes(b"no scan")
    learned = learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data, (2, 3, 4, 5, 6)))
    assert [query.name for query, _ in learned.failed] == ["image_3"]
    assert [query.name for query in learned.queries] == ["image_2", "image_4", "image_5", "image_6"]


def test_labels_of_the_cohort_are_never_read(data, tiny_weights, tmp_path):
    first = learn_network(quick_job(data, tiny_weights, tmp_path / "first"), cohort_of(data))
    for number in (2, 3, 4, 5):
        (data / f"label_{number}.nii.gz").write_bytes(b"nothing")
    second = learn_network(quick_job(data, tiny_weights, tmp_path / "second"), cohort_of(data))
    assert first.weights.read_bytes() == second.weights.read_bytes()


@pytest.mark.slow
def test_the_order_of_the_cohort_does_not_matter(data, tiny_weights, tmp_path):
    first = learn_network(quick_job(data, tiny_weights, tmp_path / "first"), cohort_of(data))
    second = learn_network(quick_job(data, tiny_weights, tmp_path / "second"), cohort_of(data, (5, 3, 4, 2)))
    assert first.weights.read_bytes() == second.weights.read_bytes()


@pytest.mark.slow
def test_another_seed_and_other_labels_are_another_network(data, tiny_weights, tmp_path):
    job = quick_job(data, tiny_weights, tmp_path / "first")
    first = learn_network(job, cohort_of(data))
    other = replace(job, out=tmp_path / "second", settings=quick_settings(seed=1))
    assert other.with_key(other.load()).key != first.job.key
    assert learn_network(other, cohort_of(data)).weights.read_bytes() != first.weights.read_bytes()


def test_an_organ_that_one_labelled_scan_lacks_stays_open_there(data, tiny_weights, tmp_path):
    labels = read_labels(data / "label_6.nii.gz")
    write_volume(labels.with_array(np.where(labels.array_zyx == 1, 1, 0)), data / "label_6.nii.gz")
    job = quick_job(data, tiny_weights, tmp_path / "run")
    job = replace(job, supports=(*job.supports, (data / "image_6.nii.gz", data / "label_6.nii.gz")))
    taught = learning_run.taught_by_labels(job.load())
    assert [one.open_organs.tolist() for one in taught] == [[False, False], [False, True]]
    learned = learn_network(job, cohort_of(data))
    assert len(learned.opinions.student) == 4


@pytest.fixture
def stopped(data, tiny_weights, tmp_path) -> Path:
    """A learning that was killed after the first step of its training."""

    class Killed(BaseException):
        pass

    def kill(stage: str, done: int, total: int, note: str = "") -> None:
        if (stage, done) == ("training", 1):
            raise Killed

    with pytest.raises(Killed):
        learn_network(quick_job(data, tiny_weights, tmp_path / "run"), cohort_of(data), progress=kill)
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["first.npz", "images.npy"])
def test_only_what_is_damaged_is_done_again(data, tiny_weights, stopped, name):
    whole = {path.parent.name: path.stat().st_mtime_ns for path in (stopped / "work").glob("image_*/first.npz")}
    (stopped / "work" / "image_4" / name).write_bytes(b"damaged")
    learn_network(quick_job(data, tiny_weights, stopped), cohort_of(data))
    now = {path.parent.name: path.stat().st_mtime_ns for path in (stopped / "work").glob("image_*/first.npz")}
    assert [name for name in sorted(now) if now[name] != whole[name]] == ["image_4"]


@pytest.mark.slow
def test_a_scan_that_changed_is_done_again(data, tiny_weights, stopped, tmp_path):
    shutil.copy(data / "image_6.nii.gz", data / "image_4.nii.gz")
    again = learn_network(quick_job(data, tiny_weights, stopped), cohort_of(data))
    anew = learn_network(quick_job(data, tiny_weights, tmp_path / "anew"), cohort_of(data))
    assert again.weights.read_bytes() == anew.weights.read_bytes()


def test_weights_with_another_encoder_are_refused(data, tiny_weights, tmp_path, monkeypatch):
    job = quick_job(data, tiny_weights, tmp_path / "run")
    weights = job.load().weights
    other = replace(weights, config=replace(weights.config, encoder="resnet50"))
    monkeypatch.setattr("psmnet.learning.job.load_weights", lambda source: other)
    with pytest.raises(InputError, match="has the encoder resnet50, which a student can't begin with"):
        job.load()


def test_settings_are_checked():
    for change, line in (({"rounds": 0}, "rounds is 0"), ({"voters": 0}, "voters is 0"), ({"share": 0.0}, "share is")):
        with pytest.raises(ConfigError, match=line):
            quick_settings(**change)
    with pytest.raises(ConfigError, match="steps is 0"):
        quick_settings(steps=0)
