"""Cohorts that a learned network segments, without a labelled scan."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.dicom_files import write_series
from helpers.learned import ORGANS, save_learned_from
from psmnet.cohort.job import CohortJob, StoredProbabilities
from psmnet.cohort.run import segment_cohort
from psmnet.cohort.worker import Worker
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, read_volume
from psmnet.io.label_files import read_label_file
from psmnet.io.organ_names import OrganName
from psmnet.io.scan_files import Query
from psmnet.segmentation.learned_segmenter import LearnedSegmenter

UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}
TYPE_2 = dict.fromkeys(("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"), "")


@pytest.fixture(scope="module")
def network(tmp_path_factory, phantoms) -> Path:
    images = [read_volume(phantoms / f"image_{number}.nii.gz") for number in (1, 2)]
    return save_learned_from(images, tmp_path_factory.mktemp("learned") / "weights.safetensors")


@pytest.fixture
def job(network: Path, tmp_path: Path) -> CohortJob:
    made = CohortJob(supports=(), out=tmp_path / "out", weights=str(network), device="cpu")
    return made.with_key(made.load())


@pytest.fixture
def query(phantoms: Path) -> Query:
    return Query(phantoms / "image_3.nii.gz", "three")


def keyed(job: CohortJob, **changes: object) -> CohortJob:
    other = replace(job, **changes)
    return other.with_key(other.load())


def test_what_is_written(job, query, network):
    rich = keyed(job, save=frozenset({"probabilities", "uncertainty"}))
    entry = Worker(rich)(query).entry
    assert {path.name for path in job.out.iterdir()} == {
        "three_seg.nii.gz",
        "three_overlay.png",
        "three_seg.json",
        "three_uncertainty.nii.gz",
        "three_prob_1.nii.gz",
        "three_prob_4.nii.gz",
    }
    expected = LearnedSegmenter.from_checkpoint(network, "cpu").examine(read_volume(query.path))
    mask = read_labels(job.out / "three_seg.nii.gz")
    assert np.array_equal(mask.array_zyx, expected.labels.array_zyx)
    assert {organ.value: organ.confidence for organ in entry.labels.values()} == {
        value: round(confidence, 4) for value, confidence in expected.confidence.items()
    }
    assert list(entry.labels) == [organ.name for organ in ORGANS.values()]


def test_an_organ_that_runs_on_is_not_cut_off(job, query):
    """The untrained network finds both at the ends; of the second its record says that it runs on."""
    labels = Worker(job)(query).entry.labels
    mask = read_labels(job.out / "three_seg.nii.gz").array_zyx
    assert {1, 4} <= set(np.unique(mask[[0, -1]]))
    assert (labels["liver"].cut_off, labels["spleen"].cut_off) == (True, False)


def test_a_cohort_with_its_summary(job, phantoms):
    queries = [Query(phantoms / f"image_{number}.nii.gz", f"case_{number}") for number in (3, 4)]
    _, loaded, cohort = segment_cohort(job, queries)
    assert [entry.name for entry in cohort.entries] == ["case_3", "case_4"]
    assert not cohort.failed
    report = json.loads((job.out / "report.json").read_text())
    assert (report["supports"], report["method"]) == ([], "learned")
    assert report["weights_sha256"] == loaded.weights_sha256
    assert report["labels"] == {"1": "liver", "4": "spleen"}
    assert {"summary.csv", "contact_sheet.html"} <= {path.name for path in job.out.iterdir()}
    again = segment_cohort(job, queries)[2]
    assert again.kept == 2


def test_names_and_labels_may_be_chosen(job, query):
    other = keyed(job, names={4: OrganName("Milz")}, labels=(4,))
    assert list(Worker(other)(query).entry.labels) == ["Milz"]
    assert other.key != job.key
    with pytest.raises(InputError, match="did not learn label 2"):
        replace(job, labels=(2,)).load()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"supports": ((Path("image_1.nii.gz"), Path("label_1.nii.gz")),)}, r"needs no support \(image_1.nii.gz is"),
        ({"method": "psmnet"}, "has no method psmnet; leave method out"),
        ({"trust_grid": True}, "has no support grid to trust; leave trust_grid out"),
        ({"precision": "bfloat16"}, "computes in float32; leave precision out"),
        ({"save": frozenset({"matches"})}, "compares no slices: no matches to save"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_it_has_no_use_for_is_refused(job, change, line):
    with pytest.raises(ConfigError, match=line):
        replace(job, **change).load()


def test_other_weights_need_a_support(job, tiny_weights):
    with pytest.raises(ConfigError, match="no support scan; give at least one labelled scan"):
        replace(job, weights=str(tiny_weights)).load()


@pytest.fixture
def decided_job(phantoms, tiny_weights, tmp_path) -> CohortJob:
    """Of one organ, with probabilities of query three that are 1 in the upper half of each slice."""
    pair = phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz"
    folder = tmp_path / "final"
    folder.mkdir()
    levels = np.zeros((1, 12, 128, 128), dtype=np.uint8)
    levels[0, :, :64] = 255
    np.save(folder / "three.npy", levels)
    return CohortJob(
        (pair,), tmp_path / "decided", labels=(1,), weights=str(tiny_weights), stored=StoredProbabilities(folder, "a")
    )


def test_masks_are_decided_from_stored_probabilities(decided_job, query):
    Worker(keyed(decided_job))(query)
    mask = read_labels(decided_job.out / "three_seg.nii.gz").array_zyx
    expected = np.zeros_like(mask)
    expected[:, :32] = 1
    assert np.array_equal(mask, expected)


def test_stored_probabilities_belong_to_the_key(decided_job):
    other = replace(decided_job, stored=StoredProbabilities(decided_job.stored.folder, "b"))
    assert keyed(other).key != keyed(decided_job).key != keyed(replace(decided_job, stored=None)).key


def test_stored_probabilities_that_can_not_be_read(decided_job, query):
    (decided_job.stored.folder / "three.npy").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"three.npy can't be read .*; learn again"):
        Worker(keyed(decided_job))(query)


def slices(folder: Path, modality: str) -> Query:
    """Patient 3 as DICOM slices."""
    image, _ = draw_patient(3, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
    stored = np.rint(image.array_zyx * 10).astype(np.int16)
    where = {"spacing_mm": image.spacing_mm, "origin_mm": image.origin_mm, "direction": image.direction}
    write_series(folder, stored, Modality=modality, **where, **UIDS, **TYPE_2)
    return Query(folder, folder.name)


def test_dicom_slices_get_a_dicom_mask(job, tmp_path):
    pytest.importorskip("highdicom")
    entry = Worker(job)(slices(tmp_path / "mr", "MR")).entry
    assert entry.notes == []
    found = read_label_file(job.out / "mr_seg.dcm")
    assert {organ.name for organ in found.names.values()} == {"liver", "spleen"}


def test_another_modality_is_said(job, tmp_path):
    notes = Worker(job)(slices(tmp_path / "pt", "PT")).entry.notes
    assert "warning: the network learned from MR, but the query is PT; results are probably wrong" in notes
