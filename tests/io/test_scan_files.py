import hashlib
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from helpers.dicom_files import write_series
from helpers.permissions import binding
from psmnet.errors import InputError
from psmnet.io.checksums import checksum
from psmnet.io.files import read_scan
from psmnet.io.scan_files import Skipped, anonymised, find_queries

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
        "old.nii.gz": "it is in the output folder",
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
        ("empty", "no scan in .*empty; give .nii.gz, .nrrd"),
        ("masks", r"no scan in .*masks \(a_seg.nii.gz: a segmentation\); give .nii.gz, .nrrd"),
        ("out", r"no scan in .*out \(b.nii.gz: it is in the output folder\); choose an output folder elsewhere"),
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
    with pytest.raises(InputError, match=r"outputs of .* would have the same name; rename one") as caught:
        names_of(tmp_path)
    clashing = {Path(name).name for name in files}
    assert set(re.findall(r"\S+\.nii(?:\.gz)?(?=[, ])", str(caught.value))) == clashing


# ---- names that tell of nobody ---------------------------------------------------------------------------------


def test_anonymous_names_come_from_content_and_come_out_again(tmp_path):
    for name, content in {"Jane Doe": b"1", "John": b"2", "Jane Doe, copy": b"1"}.items():
        (tmp_path / f"{name}.nii.gz").write_bytes(content)
    write_series(tmp_path / "slices", np.ones((2, 4, 4), np.int16), spacing_mm=(1, 1, 3))
    queries, _ = find_queries([str(tmp_path)], [], tmp_path / "out")
    by_path = {query.path.name: query.name for query in anonymised(queries)}
    one = hashlib.sha256(b"1").hexdigest()[:12]
    assert by_path["Jane Doe.nii.gz"] == f"scan_{one}-2"  # sorted behind "Jane Doe, copy"
    assert by_path["Jane Doe, copy.nii.gz"] == f"scan_{one}"
    assert by_path["John.nii.gz"] == f"scan_{hashlib.sha256(b'2').hexdigest()[:12]}"
    assert len(set(by_path.values())) == 4
    assert anonymised(queries) == anonymised(queries)


# ---- what may not be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o300])
def test_a_folder_that_may_not_be_read_fails_as_a_scan_and_the_rest_goes_on(tmp_path, mode):
    """Mode 0o400 can be listed but not entered, 0o300 entered but not listed."""
    touch(tmp_path, "a.nii.gz", "closed/b.nii.gz", "open/c.nii.gz")
    (tmp_path / "closed").chmod(mode)
    try:
        with binding():
            found, skipped = find_queries([str(tmp_path)], [], tmp_path / "out")
            closed = {query for query in found if "closed" in query.path.parts}
            assert {query.path.name for query in found} - {query.path.name for query in closed} == {
                "a.nii.gz",
                "c.nii.gz",
            }
            assert len(closed) == 1
            assert skipped == []
            for query in closed:
                with pytest.raises(InputError, match=r"can't read .*closed.* \(Permission denied\)"):
                    read_scan(query.path)
                with pytest.raises(InputError, match=r"can't read .*closed.* \(Permission denied\)"):
                    checksum(query.path)
            names = {query.path.name: query.name for query in anonymised(found)}
            assert len(set(names.values())) == 3
            assert {names[query.path.name] for query in closed} == {"unreadable"}
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_folder_that_was_named_and_may_not_be_read_is_an_error(tmp_path):
    touch(tmp_path, "closed/b.nii.gz")
    (tmp_path / "closed").chmod(0)
    try:
        with (
            binding(),
            pytest.raises(InputError, match=r"can't read .*closed \(Permission denied\); check its permissions"),
        ):
            find_queries([str(tmp_path / "closed")])
    finally:
        (tmp_path / "closed").chmod(0o700)
