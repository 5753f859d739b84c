import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from dicom_files import write_series
from psmnet.cohort import Query, Skipped, find_queries, segment_queries
from psmnet.data.phantom import draw_patient
from psmnet.errors import InputError
from psmnet.io import read_labels, write_volume
from psmnet.io.organ_names import OrganName
from psmnet.segmenter import Segmentation, Segmenter
from psmnet.supports import read_supports
from psmnet.volume import Volume

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names_of(folder: Path, *patterns: str, supports: list[Path] | None = None) -> dict[str, str]:
    """File (below the folder) to output name."""
    queries, _ = find_queries([str(folder / p) for p in patterns or ("",)], supports or [], folder / "out")
    return {query.path.relative_to(folder).as_posix(): query.name for query in queries}


def reasons(skipped: list[Skipped]) -> dict[str, str]:
    return {skip.path.name: skip.reason for skip in skipped}


# ---- which files -----------------------------------------------------------------------------------------------


def test_folders_are_searched_to_the_bottom(tmp_path):
    touch(
        tmp_path,
        ".git/x.nii.gz",
        "deep/.cache/er/y.nii.gz",
        "b.nii.gz",
        "a.nii",
        "deep/er/c.NII.GZ",
        "notes.txt",
        "d.nii.gz.part",
        ".hidden.nii.gz",
        "e.mha",
        "f.mhd",
        "f.raw",
        "g.nrrd",
        "h.seg.nrrd",
    )
    found = {"a.nii": "a", "b.nii.gz": "b", "deep/er/c.NII.GZ": "c", "e.mha": "e", "f.mhd": "f", "g.nrrd": "g"}
    assert names_of(tmp_path) == found


def test_folders_of_dicom_slices_are_scans(tmp_path):
    for name in ("mr/1.2.3.4", "mr/1.2.3.5", "ct"):
        write_series(tmp_path / "data" / name, np.ones((3, 4, 4), np.int16), spacing_mm=(1, 1, 3))
    touch(tmp_path, "data/a.nii.gz", "data/mr/notes.txt")
    expected = {"data/ct": "ct", "data/mr/1.2.3.4": "1.2.3.4", "data/mr/1.2.3.5": "1.2.3.5", "data/a.nii.gz": "a"}
    assert names_of(tmp_path, "data") == expected
    assert names_of(tmp_path, "data/mr/1*") == {"data/mr/1.2.3.4": "1.2.3.4", "data/mr/1.2.3.5": "1.2.3.5"}
    assert names_of(tmp_path, "data/ct") == {"data/ct": "ct"}


def test_a_hidden_folder_is_searched_where_it_is_asked_for(tmp_path):
    touch(tmp_path, ".data/a.nii.gz", ".data/b.nii.gz", ".data/.old/c.nii.gz")
    assert set(names_of(tmp_path, ".data")) == {".data/a.nii.gz", ".data/b.nii.gz"}
    assert set(names_of(tmp_path, ".data/a.nii.gz")) == {".data/a.nii.gz"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((f"scan{end}", "a segmentation") for end in ("_seg", "-seg", "_segmentation", "-SEGMENTATION")),
        *((f"scan{end}", "a label map") for end in ("_label", "-label", "_labels", "-labels", "_mask", "-MASK")),
        *((f"scan{end}", "a label map") for end in ("_masks", "-masks")),
        *((f"{folder}/scan", "a label map") for folder in ("labelsTr", "labelsTs", "labels", "masks")),
        *(
            (name, None)
            for name in ("mask", "labels", "unmasked", "scan_mask_2", "seg", "my-segment", "masks/day/scan")
        ),
    ],
)
def test_patterns_of_names(tmp_path, name, reason):
    touch(tmp_path, f"{name}.nii.gz", "other.nii.gz")
    queries, skipped = find_queries([str(tmp_path)], [], tmp_path / "out")
    assert reasons(skipped) == ({} if reason is None else {f"{Path(name).name}.nii.gz": reason})
    assert len(queries) == 2 - len(skipped)


def test_what_is_skipped_and_why(tmp_path):
    scans = ["scan.nii.gz", "my_segment.nii.gz", "labels.nii.gz", "case_label_2.nii.gz"]
    touch(tmp_path, *scans, "scan_seg.nii.gz", "scan_SEG.nii", "label_3.nii.gz", "scan_label.nii.gz")
    touch(tmp_path, "labelsTr/t1.nii.gz", "superpix-MIDDLE_4.nii.gz", "sup.nii.gz", "sup_mask.nii.gz", "out/old.nii.gz")
    supports = [tmp_path / "sup.nii.gz", tmp_path / "sup_mask.nii.gz"]
    queries, skipped = find_queries([str(tmp_path)], supports, tmp_path / "out")
    assert sorted(query.path.name for query in queries) == sorted(scans)
    assert reasons(skipped) == {
        "scan_seg.nii.gz": "a segmentation",
        "scan_SEG.nii": "a segmentation",
        "label_3.nii.gz": "a label map",
        "scan_label.nii.gz": "a label map",
        "t1.nii.gz": "a label map",
        "superpix-MIDDLE_4.nii.gz": "pseudo-labels",
        "sup.nii.gz": "the support itself",
        "sup_mask.nii.gz": "the support itself",
        "old.nii.gz": "it lies in the output folder",
    }


def test_the_support_is_known_by_any_path(tmp_path, monkeypatch):
    touch(tmp_path, "scans/sup.nii.gz", "scans/q.nii.gz")
    monkeypatch.chdir(tmp_path)
    queries, skipped = find_queries(["scans"], [tmp_path / "scans" / ".." / "scans" / "sup.nii.gz"], Path("out"))
    assert [query.name for query in queries] == ["q"]
    assert reasons(skipped) == {"sup.nii.gz": "the support itself"}


def test_files_folders_and_globs_together_each_scan_once(tmp_path):
    touch(tmp_path, "a/one.nii.gz", "a/two.nii.gz", "b/three.nii.gz")
    assert names_of(tmp_path, "b/three.nii.gz", "a", "*/t*.nii.gz", "a/one.nii.gz") == {
        "b/three.nii.gz": "three",
        "a/one.nii.gz": "one",
        "a/two.nii.gz": "two",
    }


def test_globs_to_any_depth(tmp_path):
    touch(tmp_path, "one.nii.gz", "x/y/two.nii.gz", "x/y/three.nii", "x/y/._two.nii.gz")
    assert set(names_of(tmp_path, "**/*.nii.gz")) == {"one.nii.gz", "x/y/two.nii.gz"}
    assert set(names_of(tmp_path, "x/y/t**o.nii.gz")) == {"x/y/two.nii.gz"}


def test_brackets_in_names_that_exist_stand_for_themselves(tmp_path):
    touch(tmp_path, "scan [1].nii.gz", "scan 1.nii.gz", "visit [2024]/t2.nii.gz", "visit 2/t2.nii.gz")
    assert names_of(tmp_path, "scan [1].nii.gz") == {"scan [1].nii.gz": "scan [1]"}
    assert names_of(tmp_path, "visit [2024]") == {"visit [2024]/t2.nii.gz": "t2"}
    assert names_of(tmp_path, "visit [2024]/*.nii.gz") == {"visit [2024]/t2.nii.gz": "t2"}
    assert names_of(tmp_path, "scan [12].nii.gz") == {"scan 1.nii.gz": "scan 1"}


@pytest.mark.parametrize("folder", ["two words", "снимки/мрт", "café à côté", "a^b^c", "100% & 'quoted'"])
def test_folders_of_any_name(tmp_path, folder):
    touch(tmp_path, f"{folder}/пациент 1^.nii.gz")
    for pattern in (folder, f"{folder}/*.nii.gz", f"{folder}/пациент 1^.nii.gz"):
        assert names_of(tmp_path, pattern) == {f"{folder}/пациент 1^.nii.gz": "пациент 1^"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("absent.nii.gz", "no file or folder .*absent.nii.gz; check the path"),
        ("*.mha", r"nothing matches .*\*\.mha; check the pattern"),
        ("empty", "no scan to segment in .*empty; give .nii.gz, .nrrd"),
        ("masks", r"no scan to segment in .*masks \(a_seg.nii.gz: a segmentation\); give .nii.gz, .nrrd"),
        ("out", r"no scan to segment in .*out \(b.nii.gz: it lies in the output folder\); choose an --out elsewhere"),
    ],
)
def test_nothing_to_segment(tmp_path, pattern, message):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "masks/a_seg.nii.gz", "out/b.nii.gz")
    with pytest.raises(InputError, match=message):
        names_of(tmp_path, pattern)


# ---- names of outputs ------------------------------------------------------------------------------------------


def test_on_a_clash_names_come_from_the_path_below_the_common_parent(tmp_path):
    touch(tmp_path, "hospital/p1/t2.nii.gz", "hospital/p2/visit/t2.nii.gz", "hospital/p2/t1.nii.gz")
    assert names_of(tmp_path) == {
        "hospital/p1/t2.nii.gz": "p1_t2",
        "hospital/p2/visit/t2.nii.gz": "p2_visit_t2",
        "hospital/p2/t1.nii.gz": "t1",  # no other is called so
    }


def test_names_that_differ_in_case_alone_clash(tmp_path):
    touch(tmp_path, "a/Scan.nii.gz", "b/scan.nii.gz")
    assert set(names_of(tmp_path).values()) == {"a_Scan", "b_scan"}


def test_names_that_differ_in_unicode_form_alone_clash(tmp_path):
    assert COMPOSED != DECOMPOSED
    touch(tmp_path, f"a/{COMPOSED}.nii.gz", f"b/{DECOMPOSED}.nii.gz")
    assert set(names_of(tmp_path).values()) == {f"a_{COMPOSED}", f"b_{DECOMPOSED}"}


@pytest.mark.parametrize(
    "files",
    [
        ("a.nii", "a.nii.gz"),
        ("a.nii.gz", "A.nii.gz"),
        ("x/y.nii.gz", "z/y.nii.gz", "x_y.nii.gz"),  # the renamed one would be called as a third is
    ],
)
def test_names_that_can_not_be_told_apart(tmp_path, files):
    touch(tmp_path, *files)
    with pytest.raises(InputError, match=r"outputs of .* would have one name; rename one") as caught:
        names_of(tmp_path)
    clashing = {Path(name).name for name in files}
    assert set(re.findall(r"\S+\.nii(?:\.gz)?(?=[, ])", str(caught.value))) == clashing


# ---- segmenting ------------------------------------------------------------------------------------------------


def blocks(seed: int) -> tuple[Volume, Volume]:
    array = np.random.default_rng(seed).normal(100, 5, (6, 24, 24)).astype(np.float32)
    labels = np.zeros(array.shape, dtype=np.uint8)
    labels[1:5, 4:12, 4:12] = 3
    array[labels == 3] = 300
    lattice = Volume(array, (3.0, 3.0, 8.0))
    return lattice, lattice.with_array(labels)


@pytest.fixture
def segmenter(tiny_weights: Path) -> Segmenter:
    ready = Segmenter.from_checkpoint(tiny_weights, "cpu")
    ready.set_support([blocks(0)])
    return ready


def test_a_bad_query_among_good_ones(segmenter, tmp_path):
    for number in (1, 3):
        write_volume(blocks(number)[0], tmp_path / f"scan{number}.nii.gz")
    (tmp_path / "scan2.nii.gz").write_bytes(b"no image")
    queries, _ = find_queries([str(tmp_path)], [], tmp_path / "out")
    told: list[tuple[str, Path]] = []

    def done(query: Query, image: Volume, result: Segmentation, mask: Path) -> None:
        assert np.array_equal(read_labels(mask).array_zyx, result.labels.array_zyx)
        assert image.array_zyx.shape == result.labels.array_zyx.shape
        told.append((query.name, mask))

    failed = segment_queries(segmenter, queries, tmp_path / "out", overwrite=False, done=done)
    assert [(query.name, "scan2.nii.gz" in str(error)) for query, error in failed] == [("scan2", True)]
    assert told == [(f"scan{n}", tmp_path / "out" / f"scan{n}_seg.nii.gz") for n in (1, 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scan1_seg.nii.gz", "scan3_seg.nii.gz"]


def test_nothing_is_replaced_without_overwrite(segmenter, tmp_path):
    for number in (1, 2):
        write_volume(blocks(number)[0], tmp_path / f"scan{number}.nii.gz")
    queries, _ = find_queries([str(tmp_path)], [], tmp_path / "out")
    touch(tmp_path, "out/scan2_seg.nii.gz")
    told: list[str] = []

    def done(query: Query, *_: object) -> None:
        told.append(query.name)

    with pytest.raises(InputError, match=r"scan2_seg\.nii\.gz is there already; add --overwrite or --skip-existing"):
        segment_queries(segmenter, queries, tmp_path / "out", overwrite=False, done=done)
    assert told == []
    assert (tmp_path / "out" / "scan2_seg.nii.gz").read_bytes() == b""

    assert segment_queries(segmenter, queries, tmp_path / "out", overwrite=True, done=done) == []
    assert told == ["scan1", "scan2"]
    assert read_labels(tmp_path / "out" / "scan2_seg.nii.gz").array_zyx.shape == (6, 24, 24)


def test_what_is_there_may_be_skipped(segmenter, tmp_path):
    for number in (1, 2):
        write_volume(blocks(number)[0], tmp_path / f"scan{number}.nii.gz")
    queries, _ = find_queries([str(tmp_path)], [], tmp_path / "out")
    touch(tmp_path, "out/scan1_seg.nii.gz")
    told: list[str] = []
    failed = segment_queries(
        segmenter, queries, tmp_path / "out", skip_existing=True, done=lambda query, *_: told.append(query.name)
    )
    assert (failed, told) == ([], ["scan2"])
    assert (tmp_path / "out" / "scan1_seg.nii.gz").read_bytes() == b""


def test_notes_name_files_not_folders(segmenter, tmp_path):
    """A path may hold a person's name; results are passed on."""
    image, labels = blocks(1)
    array = image.array_zyx.copy()
    array[0, 0, 0] = np.nan
    write_volume(image.with_array(array), tmp_path / "scan.nii.gz")
    write_volume(labels, tmp_path / "labels.nii.gz")
    notes: list[str] = []
    found: list[tuple[str, ...]] = []
    read_supports([(tmp_path / "scan.nii.gz", tmp_path / "labels.nii.gz")], notes=notes)
    segment_queries(
        segmenter,
        [Query(tmp_path / "scan.nii.gz", "scan")],
        tmp_path / "out",
        overwrite=False,
        done=lambda query, image, result, mask: found.append(result.notes),
    )
    for (note,) in (notes, *found):
        assert note.startswith("scan.nii.gz: 1 of 3456 voxels are not finite")


def patient_as_slices(folder: Path, **tags: str) -> tuple[Volume, Volume]:
    image, labels = draw_patient(seed=3)
    stored = image.with_array(np.rint(image.array_zyx * 1000).astype(np.int16))
    where = {"spacing_mm": image.spacing_mm, "origin_mm": image.origin_mm, "direction": image.direction}
    write_series(folder, stored.array_zyx, **where, **tags)  # type: ignore[arg-type]
    return stored, labels


def test_a_dicom_folder_is_segmented_as_the_same_scan_in_a_file(tmp_path, tiny_weights):
    """And written as DICOM too, voxel for voxel."""
    pytest.importorskip("highdicom")
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}
    empty = dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"), ""
    )
    image, labels = patient_as_slices(tmp_path / "slices", **uids, **empty)
    write_volume(image, tmp_path / "file.nii.gz")
    segmenter = Segmenter.from_checkpoint(tiny_weights, "cpu")
    segmenter.set_support([(image, labels)])
    queries, _ = find_queries([str(tmp_path / "slices"), str(tmp_path / "file.nii.gz")], [], tmp_path / "out")
    found: dict[str, Segmentation] = {}
    names = {1: OrganName("liver", "10200004")}
    failed = segment_queries(
        segmenter,
        queries,
        tmp_path / "out",
        names=names,
        done=lambda query, _image, result, _mask: found.update({query.name: result}),
    )
    assert failed == []
    mask = found["slices"].labels
    assert np.array_equal(mask.array_zyx, found["file"].labels.array_zyx)
    assert np.allclose(mask.affine, found["file"].labels.affine, atol=1e-3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "file_seg.nii.gz",
        "slices_seg.dcm",
        "slices_seg.nii.gz",
    ]
    ((_, again),) = (read := read_supports([(tmp_path / "slices", tmp_path / "out" / "slices_seg.dcm")])).pairs
    assert read.names[1] == names[1]
    assert {organ.name for organ in read.names.values()} == {"liver", "label_2", "label_3", "label_4", "label_5"}
    assert np.array_equal(again.array_zyx, mask.array_zyx)


def test_without_uids_the_dicom_mask_is_left_out_and_said(tmp_path, tiny_weights):
    image, labels = patient_as_slices(tmp_path / "slices", uids=False)  # type: ignore[arg-type]
    segmenter = Segmenter.from_checkpoint(tiny_weights, "cpu")
    segmenter.set_support([(image, labels)])
    notes: list[str] = []
    segment_queries(
        segmenter,
        [Query(tmp_path / "slices", "a")],
        tmp_path / "out",
        done=lambda _q, _i, result, _m: notes.extend(result.notes),
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_seg.nii.gz"]
    (note,) = (note for note in notes if "DICOM" in note)
    assert note.startswith("no DICOM Segmentation: can't write a_seg.dcm: IMG-0002-")
    assert " has no StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, FrameOfReferenceUID; use the NIfTI" in note
