"""A learning that goes on from an earlier one, with masks that a person has corrected."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.learnings import cohort_of, quick_job, quick_settings
from psmnet.cohort.go_on import go_on_from
from psmnet.cohort.learn_record import LearnRecord
from psmnet.cohort.learn_run import learn_cohort
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, write_volume
from psmnet.io.organ_names import OrganName
from psmnet.learning.job import LearnJob
from psmnet.learning.train import new_student
from psmnet.segmentation.learned_weights import load_learned

pytestmark = pytest.mark.usefixtures("one_process")


def corrected(folder: Path, number: int = 2) -> tuple[Path, Path]:
    """A scan of the cohort, and its mask in RUN after a person put the right labels into it."""
    mask = folder / "run" / "masks" / f"image_{number}_seg.nii.gz"
    labels = read_labels(folder / "data" / f"label_{number}.nii.gz")
    wanted = np.where(np.isin(labels.array_zyx, (1, 4)), labels.array_zyx, 0)
    write_volume(labels.with_array(wanted), mask)
    return folder / "data" / f"image_{number}.nii.gz", mask


@pytest.fixture
def next_job(learned: Path, tiny_weights: Path, tmp_path: Path) -> LearnJob:
    """A second learning, of the corrected scan 2 and what the first one was taught by."""
    job = quick_job(learned / "data", tiny_weights, tmp_path / "next")
    return replace(job, supports=(corrected(learned),))


def test_labelled_scans_names_and_network_of_the_earlier_one_are_used(learned, next_job):
    job, notes = go_on_from(next_job, learned / "run")
    assert job.supports == (
        (learned / "data" / "image_1.nii.gz", learned / "data" / "label_1.nii.gz"),
        *next_job.supports,
    )
    assert job.names == {1: OrganName("label_1"), 4: OrganName("label_4")}
    assert job.earlier == str(learned / "run" / "weights.safetensors")
    assert notes == []
    named, _ = go_on_from(replace(next_job, names={1: OrganName("Leber")}), learned / "run")
    assert named.names[1] == OrganName("Leber")


def test_the_student_begins_with_the_earlier_network_and_its_view(learned, next_job):
    job, _ = go_on_from(next_job, learned / "run")
    loaded, network = job.load(), load_learned(learned / "run")
    assert loaded.view == network.view
    student = new_student(loaded, seed=5)
    assert all(student.state_dict()[name].equal(value) for name, value in network.model.state_dict().items())
    assert student is not loaded.earlier.model


def test_a_second_learning(learned, next_job):
    again = learn_cohort(next_job, cohort_of(learned / "data", (2, 3, 4, 5, 6)), earlier=learned / "run")
    assert again.record.copies == ["image_2.nii.gz"]
    assert [scan.name for scan in again.record.scans] == ["image_3", "image_4", "image_5", "image_6"]
    first, second = load_learned(learned / "run"), load_learned(next_job.out)
    assert (second.taught_by.steps, second.taught_by.init) == (4, first.sha256)
    assert second.view == first.view
    assert len(second.taught_by.labelled) == 2
    assert again.record.earlier == first.sha256
    assert [Path(pair.image).name for pair in again.record.supports] == ["image_1.nii.gz", "image_2.nii.gz"]
    assert (next_job.out / "report.html").read_text(encoding="utf-8").count("begun with") == 1
    third, _ = go_on_from(replace(next_job, supports=(), out=next_job.out / "third"), next_job.out)
    assert len(third.supports) == 2  # those of both


def test_edited_masks_that_are_not_given_are_named(learned, next_job):
    corrected(learned, 4)
    _, notes = go_on_from(next_job, learned / "run")
    assert notes == ["1 mask edited in run and not given as a labelled scan: image_4_seg.nii.gz"]


def test_labels_that_were_edited_since_are_used_as_they_are_now(learned, next_job):
    shutil.copy(learned / "data" / "label_2.nii.gz", learned / "data" / "label_1.nii.gz")
    _, notes = go_on_from(next_job, learned / "run")
    assert notes == ["label_1.nii.gz was edited since run learned from it: it is used as it is now"]


def test_a_labelled_scan_that_was_moved_is_asked_for_by_name(learned, next_job, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    pair = [Path(shutil.move(learned / "data" / name, moved)) for name in ("image_1.nii.gz", "label_1.nii.gz")]
    with pytest.raises(InputError, match=r"learned from image_1.nii.gz, which is no longer in .*data; give this"):
        go_on_from(next_job, learned / "run")
    given = replace(next_job, supports=(tuple(pair), *next_job.supports))
    assert go_on_from(given, learned / "run")[0].supports == given.supports  # found by content


def test_another_scan_in_its_place_is_noticed(learned, next_job):
    shutil.copy(learned / "data" / "image_3.nii.gz", learned / "data" / "image_1.nii.gz")
    with pytest.raises(InputError, match=r"image_1.nii.gz is not the scan any more that"):
        go_on_from(next_job, learned / "run")


def test_everything_may_be_moved_together(learned, next_job, tmp_path):
    elsewhere = Path(shutil.move(learned, tmp_path / "elsewhere"))
    job, _ = go_on_from(replace(next_job, supports=()), elsewhere / "run")
    assert job.supports == ((elsewhere / "data" / "image_1.nii.gz", elsewhere / "data" / "label_1.nii.gz"),)


def test_other_organs_are_refused(learned, next_job):
    job, _ = go_on_from(replace(next_job, labels=None), learned / "run")
    with pytest.raises(InputError, match="are to be learned, but the earlier network has learned 1,4; learn labels"):
        job.load()
    with pytest.raises(InputError, match="labels 1 are to be learned"):
        replace(job, labels=(1,)).load()


def test_what_can_not_be_gone_on_from(learned, next_job, tmp_path):
    with pytest.raises(ConfigError, match="is the earlier learning itself; choose another folder"):
        go_on_from(replace(next_job, out=learned / "run"), learned / "run")
    with pytest.raises(InputError, match="no finished learning in"):
        go_on_from(next_job, learned / "data")
    record = LearnRecord.read(learned / "run" / "learn.json")
    record.weights_sha256 = None
    record.write(learned / "run" / "learn.json")
    with pytest.raises(InputError, match="has no network, only masks of the vote; begin without it"):
        go_on_from(next_job, learned / "run")


def test_its_network_is_part_of_the_settings(learned, next_job, tiny_weights, tmp_path):
    """The same supports with and without an earlier network are different learnings."""
    job, _ = go_on_from(next_job, learned / "run")
    anew = replace(job, earlier=None)
    assert job.with_key(job.load()).key != anew.with_key(anew.load()).key


def test_first_masks_are_made_again_only_where_the_view_is_another(learned, next_job):
    """They are kept at the view's pixels."""
    job, _ = go_on_from(next_job, learned / "run")
    loaded = job.load()
    finer = replace(loaded.earlier, view=replace(loaded.view, pixel_mm=loaded.view.pixel_mm / 2), sha256="other")
    same = replace(loaded.earlier, sha256="other")
    keys = [job.with_key(replace(loaded, earlier=one)).masks_key for one in (loaded.earlier, same, finer)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.slow
def test_a_learning_from_another_is_also_killed_and_goes_on(learned, next_job):
    class Killed(BaseException):
        pass

    def kill(stage: str, done: int, total: int, note: str = "") -> None:
        if (stage, done) == ("training", 1):
            raise Killed

    queries = cohort_of(learned / "data", (3, 4, 5, 6))
    with pytest.raises(Killed):
        learn_cohort(next_job, queries, earlier=learned / "run", progress=kill)
    learn_cohort(next_job, queries, earlier=learned / "run")
    undisturbed = replace(next_job, out=next_job.out.with_name("undisturbed"))
    learn_cohort(undisturbed, queries, earlier=learned / "run")
    for path in ("weights.safetensors", "masks/image_3_seg.nii.gz", "metrics.jsonl"):
        assert (next_job.out / path).read_bytes() == (undisturbed.out / path).read_bytes()
    assert len(json.loads((next_job.out / "learn.json").read_text())["scans"]) == 4


def test_only_the_vote_can_go_on_too(learned, next_job):
    """The earlier network votes though nothing is trained."""
    job = replace(next_job, settings=quick_settings(vote_only=True))
    queries = cohort_of(learned / "data", (3, 4, 5, 6))
    again = learn_cohort(job, queries, earlier=learned / "run")
    assert again.record.weights_sha256 is None
    anew = replace(go_on_from(job, learned / "run")[0], earlier=None, out=job.out.with_name("anew"))
    assert learn_cohort(anew, queries).record.scans[0].organs != again.record.scans[0].organs
