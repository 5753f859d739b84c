"""One scan at a time: what is written, what is kept, what is refused, and what is not told."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from helpers.dicom_files import write_series
from helpers.nifti_bytes import Nifti
from psmnet.cohort.job import CohortJob
from psmnet.cohort.records import ScanRecord
from psmnet.cohort.worker import EDITED, Worker, discreet, require_own
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.io.organ_names import OrganName
from psmnet.io.scan_files import Query
from psmnet.segmentation.result import Segmentation
from psmnet.segmentation.supports import read_supports
from psmnet.volume.geometry import slice_first
from psmnet.volume.volume import Volume

UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}
TYPE_2 = dict.fromkeys(("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"), "")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def job(phantoms: Path, tiny_weights: Path, tmp_path: Path) -> CohortJob:
    made = CohortJob(
        supports=((phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz"),),
        out=tmp_path / "out",
        weights=str(tiny_weights),
        device="cpu",
    )
    return made.with_key(made.load())


@pytest.fixture
def query(phantoms: Path) -> Query:
    return Query(phantoms / "image_2.nii.gz", "two")


def test_what_is_written(job, query):
    done = Worker(job)(query)
    assert not done.kept
    assert set(contents(job.out)) == {"two_seg.nii.gz", "two_overlay.png", "two_seg.json"}
    record = json.loads((job.out / "two_seg.json").read_text())
    assert record["entry"] == done.entry.model_dump()
    assert (record["settings"], record["schema"]) == (job.key, "psmnet-query-1")
    mask = read_labels(job.out / "two_seg.nii.gz")
    assert mask.array_zyx.shape == read_volume(query.path).array_zyx.shape
    for found in done.entry.labels.values():
        voxels = int((mask.array_zyx == found.value).sum())
        assert found.volume_ml == pytest.approx(voxels * 5 * 5 * 12 / 1000, abs=1e-3)


def test_what_is_written_lies_as_the_scan_does_in_every_viewer(job, query, tmp_path):
    """Viewers follow the sform or the qform: all outputs repeat both, with their codes, even where they disagree."""
    shown = read_volume(query.path)
    moved = (5, 0, 0, -60, 0, 5, 0, -70, 0, 0, 12, -80)
    scan = Nifti(shown.array_zyx, pixdim=(1, 5, 5, 12, 1, 1, 1, 1), sform=moved, sform_code=4)
    path = scan.write(tmp_path / "both.nii.gz")
    rich = replace(job, save=frozenset({"probabilities", "uncertainty"}))
    Worker(rich.with_key(rich.load()))(Query(path, "both"))
    own = nibabel.load(path)
    outputs = sorted(job.out.glob("*.nii.gz"))
    assert len(outputs) == 7
    for output in outputs:
        found = nibabel.load(output)
        assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (1, 4)
        assert np.array_equal(found.get_sform(), own.get_sform())
        assert np.array_equal(found.get_qform(), own.get_qform())


def test_a_mask_may_be_nrrd(job, query):
    nrrd = replace(job, ending="nrrd")
    Worker(job)(query)
    Worker(replace(nrrd, out=job.out / "nrrd"))(query)
    one, other = read_labels(job.out / "two_seg.nii.gz"), read_labels(job.out / "nrrd" / "two_seg.nrrd")
    assert np.array_equal(one.array_zyx, other.array_zyx)
    assert np.allclose(one.affine, other.affine, atol=1e-4)


def test_what_else_may_be_saved(job, query):
    rich = replace(job, save=frozenset({"probabilities", "uncertainty"}))
    rich = rich.with_key(rich.load())
    Worker(rich)(query)
    mask = read_labels(job.out / "two_seg.nii.gz")
    extra = [f"two_prob_{value}.nii.gz" for value in range(1, 6)]
    assert set(contents(job.out)) == {
        "two_seg.nii.gz",
        "two_overlay.png",
        "two_seg.json",
        "two_uncertainty.nii.gz",
        *extra,
    }
    for value in range(1, 6):
        probability = read_volume(job.out / f"two_prob_{value}.nii.gz")
        assert np.allclose(probability.affine, mask.affine, atol=1e-4)
        assert (probability.array_zyx[mask.array_zyx == value] >= 0.5).all()
        assert 0 <= probability.array_zyx.min() <= probability.array_zyx.max() <= 1
    with pytest.raises(ConfigError, match=r"registration has no .*probabilities.* to save; leave save out"):
        replace(rich, method="registration", weights=None).load()


def test_registration_has_no_precision(job):
    with pytest.raises(ConfigError, match="registration has no network to set a precision for"):
        replace(job, method="registration", weights=None, precision="bfloat16").load()


def test_a_disk_that_is_full_leaves_nothing_behind(job, query, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise InputError("can't write two_overlay.png (No space left on device)", "choose a folder with free space")

    rich = replace(job, save=frozenset({"probabilities", "uncertainty"}))
    monkeypatch.setattr("psmnet.cohort.worker.draw_overlay", full)
    with pytest.raises(InputError, match="No space left"):
        Worker(rich)(query)
    assert contents(job.out) == {}


def test_what_is_done_is_not_done_again(job, query):
    first = Worker(job)(query)
    before = {path.name: path.stat().st_mtime_ns for path in job.out.iterdir()}
    again = Worker(job)(query)
    assert (again.kept, again.entry) == (True, first.entry)
    assert {path.name: path.stat().st_mtime_ns for path in job.out.iterdir()} == before
    assert Worker(replace(job, overwrite=True))(query).kept


def test_what_was_broken_off_is_done_again(job, query):
    """As if the process had been killed after the mask, before the record was whole."""
    Worker(job)(query)
    whole = contents(job.out)
    record = json.loads(whole["two_seg.json"])
    del record["entry"], record["mask_sha256"]
    (job.out / "two_seg.json").write_text(json.dumps(record))
    (job.out / "two_seg.nii.gz").write_bytes(b"half")
    assert not Worker(job)(query).kept
    assert contents(job.out)["two_seg.nii.gz"] == whole["two_seg.nii.gz"]
    (job.out / "two_seg.nii.gz").unlink()
    assert not Worker(job)(query).kept


def test_an_edited_mask_is_kept_unless_asked(job, query):
    """Even where its picture is gone: that is drawn again; and volumes are told of the mask that is there."""
    first = Worker(job)(query)
    path = job.out / "two_seg.nii.gz"
    mask = read_labels(path)
    value = int(mask.array_zyx.max())
    path.unlink()
    write_volume(mask.with_array(mask.array_zyx * (mask.array_zyx != value)), path)
    edited = path.read_bytes()
    (job.out / "two_overlay.png").unlink()
    for _ in range(2):  # found, and known from then on
        again = Worker(job)(query)
        assert again.kept
        assert path.read_bytes() == edited
        assert (job.out / "two_overlay.png").exists()
        volumes = {organ.value: organ.volume_ml for organ in again.entry.labels.values()}
        assert volumes.pop(value) == 0
        before = {organ.value: organ.volume_ml for organ in first.entry.labels.values()}
        assert volumes == {v: ml for v, ml in before.items() if v != value}
        assert again.entry.notes == [EDITED]
    assert not Worker(replace(job, overwrite=True))(query).kept
    assert path.read_bytes() != edited


def test_records_of_earlier_versions_know_their_edited_masks():
    old = {"settings": "a", "scan_sha256": "b", "mask_sha256": "c", "mended_sha256": "d"}
    record = ScanRecord.model_validate(old)
    assert record.edited_sha256 == "d"
    assert ScanRecord.model_validate(record.model_dump()) == record
    assert "mended_sha256" not in record.model_dump()


def test_a_mask_that_can_not_be_read_is_not_taken_for_done(job, query):
    Worker(job)(query)
    (job.out / "two_seg.nii.gz").write_bytes(b"half")
    with pytest.raises(InputError, match=r"two_seg\.nii\.gz"):
        Worker(job)(query)


@pytest.mark.parametrize("what", ["no record", "other settings", "another scan", "no JSON", "foreign JSON"])
def test_a_mask_of_something_else_is_not_replaced_unasked(job, query, phantoms, what):
    Worker(job)(query)
    mine, asked = contents(job.out)["two_seg.nii.gz"], query
    if what == "no record":
        (job.out / "two_seg.json").unlink()
    elif what == "no JSON":
        (job.out / "two_seg.json").write_text("{")
    elif what == "foreign JSON":
        (job.out / "two_seg.json").write_text("[1]")
    elif what == "other settings":
        job = replace(job, labels=(1,), key="other")
    else:
        asked = Query(phantoms / "image_3.nii.gz", "two")
    with pytest.raises(InputError, match=r"two_seg\.nii\.gz already exists, from another scan or other settings"):
        Worker(job)(asked)
    assert contents(job.out)["two_seg.nii.gz"] == mine
    assert not Worker(replace(job, overwrite=True))(asked).kept
    if what != "no record":
        assert contents(job.out)["two_seg.json"] != b"{"


def test_masks_of_other_settings_are_found_before_the_work(job, query, phantoms):
    Worker(job)(query)
    three = Query(phantoms / "image_3.nii.gz", "three")
    require_own(job, [query, three])
    other = replace(job, key="other")
    with pytest.raises(InputError, match=r"two_seg\.nii\.gz already exists"):
        require_own(other, [three, query])
    require_own(replace(other, overwrite=True), [three, query])


@pytest.mark.parametrize(
    "change",
    [
        {"labels": (1,)},
        {"names": {1: OrganName("liver")}},
        {"ending": "nrrd"},
        {"method": "registration", "weights": None, "save": frozenset()},
        {"trust_grid": True},
        {"series": ("1.2",)},
        {"anonymise": True},
        {"precision": "bfloat16"},
        {"save": frozenset({"uncertainty"})},
    ],
)
def test_the_key_knows_what_changes_outputs(job, change):
    changed = replace(job, **change)
    assert changed.with_key(changed.load()).key != job.key


def test_the_key_does_not_know_where_and_by_whom(job, tmp_path, phantoms):
    for name in ("image_1.nii.gz", "label_1.nii.gz"):
        (tmp_path / f"copy_{name}").write_bytes((phantoms / name).read_bytes())
    pair = tmp_path / "copy_image_1.nii.gz", tmp_path / "copy_label_1.nii.gz"
    same = replace(job, supports=(pair,), out=tmp_path / "elsewhere", threads=1, overwrite=True)
    assert same.with_key(same.load()).key == job.key


def test_the_key_knows_the_labels_content(job, tmp_path):
    image, labels = job.supports[0]
    mask = read_labels(labels)
    changed = mask.array_zyx.copy()
    changed[changed == 1] = 0
    write_volume(mask.with_array(changed), tmp_path / "other.nii.gz")
    other = replace(job, supports=((image, tmp_path / "other.nii.gz"),))
    assert other.with_key(other.load()).key != job.key


def test_cut_off_is_said_where_the_labelled_scan_shows_all(job, query):
    """The phantom's organ 3 begins and ends within the support; 5 leaves it. The query is given both, to its end."""
    support = read_labels(job.supports[0][1]).array_zyx
    assert not np.isin(3, support[[0, -1]])
    assert np.isin(5, support[[0, -1]])
    scan = read_volume(query.path)
    drawn = np.zeros(scan.array_zyx.shape, dtype=np.uint8)
    drawn[0, :8], drawn[0, 8:16], drawn[5, 16:24] = 3, 5, 4

    class Drawing:
        def examine(self, seen: Volume) -> Segmentation:
            return Segmentation(seen.with_array(drawn), dict.fromkeys(range(1, 6), 0.5), slice_first(seen), ())

    worker = Worker(job)
    worker.__dict__["_segmenter"] = Drawing()
    found = worker(query).entry.labels
    assert {label: organ.cut_off for label, organ in found.items()} == {
        "label_1": False,
        "label_2": False,
        "label_3": True,
        "label_4": False,
        "label_5": False,
    }


# ---- DICOM -----------------------------------------------------------------------------------------------------


def patient_as_slices(folder: Path, **tags: str) -> tuple[Volume, Volume]:
    image, labels = draw_patient(seed=3)
    stored = image.with_array(np.rint(image.array_zyx * 10).astype(np.int16))
    where = {"spacing_mm": image.spacing_mm, "origin_mm": image.origin_mm, "direction": image.direction}
    write_series(folder, stored.array_zyx, **where, **tags)  # type: ignore[arg-type]
    return stored, labels


@pytest.fixture
def dicom_job(job: CohortJob, tmp_path: Path) -> CohortJob:
    image, labels = draw_patient(seed=3)
    paths = tmp_path / "support.nii.gz", tmp_path / "support_label.nii.gz"
    for volume, path in zip((image, labels), paths, strict=True):
        write_volume(volume, path)
    made = replace(job, supports=(paths,), names={1: OrganName("liver", "10200004")})
    return made.with_key(made.load())


def test_a_dicom_folder_is_segmented_as_the_same_scan_in_a_file(dicom_job, tmp_path):
    """And written as DICOM too, voxel for voxel."""
    pytest.importorskip("highdicom")
    image, _ = patient_as_slices(tmp_path / "slices", **UIDS, **TYPE_2)
    write_volume(image, tmp_path / "file.nii.gz")
    worker = Worker(dicom_job)
    for path, name in ((tmp_path / "slices", "slices"), (tmp_path / "file.nii.gz", "file")):
        assert worker(Query(path, name)).entry.notes == []
    mask, other = (read_labels(dicom_job.out / f"{name}_seg.nii.gz") for name in ("slices", "file"))
    assert np.array_equal(mask.array_zyx, other.array_zyx)
    assert np.allclose(mask.affine, other.affine, atol=1e-3)
    assert sorted(path.name for path in dicom_job.out.glob("*.dcm")) == ["slices_seg.dcm"]
    ((_, again),) = (read := read_supports([(tmp_path / "slices", dicom_job.out / "slices_seg.dcm")])).pairs
    assert read.names[1] == OrganName("liver", "10200004")
    assert {organ.name for organ in read.names.values()} == {"liver", "label_2", "label_3", "label_4", "label_5"}
    assert np.array_equal(again.array_zyx, mask.array_zyx)


def test_without_uids_the_dicom_mask_is_left_out_and_said(dicom_job, tmp_path):
    patient_as_slices(tmp_path / "slices", uids=False)  # type: ignore[arg-type]
    notes = Worker(dicom_job)(Query(tmp_path / "slices", "a")).entry.notes
    assert not list(dicom_job.out.glob("*.dcm"))
    (note,) = (note for note in notes if "DICOM" in note)
    assert note.startswith("no DICOM Segmentation was written: can't write a_seg.dcm: IMG-0002-")
    assert " has no StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, FrameOfReferenceUID; use the NIfTI" in note


def test_another_modality_is_said(dicom_job, tmp_path):
    _, labels = patient_as_slices(tmp_path / "mr", Modality="MR", **UIDS, **TYPE_2)
    write_volume(labels, tmp_path / "labels.nii.gz")
    patient_as_slices(tmp_path / "pt", Modality="PT", **UIDS, **TYPE_2)
    job = replace(dicom_job, supports=((tmp_path / "mr", tmp_path / "labels.nii.gz"),))
    worker = Worker(job.with_key(job.load()))
    assert worker(Query(tmp_path / "mr", "mr")).entry.notes == []
    assert worker(Query(tmp_path / "pt", "pt")).entry.notes == [
        "warning: MR support, but the query is PT; results are probably wrong"
    ]
    assert Worker(replace(dicom_job, out=tmp_path / "o"))(Query(tmp_path / "pt", "pt")).entry.notes == []


def test_an_anonymous_mask_has_no_dicom(dicom_job, tmp_path):
    patient_as_slices(tmp_path / "slices", **UIDS, **TYPE_2)
    secret = replace(dicom_job, anonymise=True)
    entry = Worker(secret)(Query(tmp_path / "slices", "scan_1")).entry
    assert entry.notes == ["no DICOM Segmentation was written: it would contain the patient's identity"]
    assert not list(dicom_job.out.glob("*.dcm"))


def test_notes_name_files_not_folders(job, phantoms, tmp_path):
    """A path may hold a person's name; results are passed on."""
    image = read_volume(phantoms / "image_2.nii.gz")
    array = image.array_zyx.copy()
    array[0, 0, 0] = np.nan
    write_volume(image.with_array(array), tmp_path / "Jane.nii.gz")
    query = Query(tmp_path / "Jane.nii.gz", "q")
    (note,) = Worker(job)(query).entry.notes
    assert note.startswith("Jane.nii.gz: 1 of 49152 voxels are not finite")
    (note,) = Worker(replace(job, anonymise=True, out=tmp_path / "other"))(query).entry.notes
    assert note.startswith("q: 1 of 49152 voxels are not finite")


def test_no_line_tells_of_slices(tmp_path):
    for name in ("DOE_JANE_1.dcm", "DOE_JANE_12.dcm"):
        (tmp_path / "Jane").mkdir(exist_ok=True)
        (tmp_path / "Jane" / name).write_bytes(b"")
    text = f"{tmp_path}/Jane/DOE_JANE_12.dcm is empty; mend Jane"
    assert discreet(text, Query(tmp_path / "Jane", "scan_1"), True) == "scan_1/a slice is empty; mend scan_1"
