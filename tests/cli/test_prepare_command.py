"""psmnet prepare: what it prints, and how it takes what is wrong with single cases."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.raw_layouts import abdomens, chaos_t2, nnunet, pelvic, plain, sabs, zipped
from psmnet.io import read_labels, read_volume, write_volume

SMALL = {"size_xyz": (16, 16, 3)}
CHAOS = ("1", "2", "3")
T2SPIR = "Train_Sets/MR/2/T2SPIR"
SABS = "RawData/Training"


def names(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


def require_failed(outcome, out, bad, good, message):
    """One case is named in one line, the others are there, and the end has the list."""
    assert outcome.code == 2, outcome
    told, end = outcome.err.splitlines()
    assert told.startswith(f"failed: case {bad}: "), told
    assert message in told
    assert "; " in told, "a remedy"
    assert end.startswith(f"psmnet: 1 case failed: {bad}; fix these and run the command again (the others are kept)")
    assert f"{len(good)} cases made now, 0 kept, {len(good)} with labels: {out}" in outcome.out
    assert names(out) == sorted(
        ["dataset.json", *(f"{kind}_{case_id}.nii.gz" for kind in ("image", "label") for case_id in good)]
    )
    assert sorted(json.loads((out / "dataset.json").read_text())["cases"]) == sorted(good)


# ---- what goes well --------------------------------------------------------------------------------------------


def test_a_data_set_from_download_to_folder(cli, tmp_path):
    pelvic(tmp_path / "raw", ["000003", "000017"], **SMALL)
    out = tmp_path / "out"
    first = cli("prepare", "pelvic", tmp_path / "raw", out, "--jobs", "1")
    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines() == [
        f"2 cases in {tmp_path / 'raw'}",
        "note: 2 cases where Male pelvic MR, T2-weighted, 7 institutions has 589; the published folds need them all",
        f"2 cases made now, 0 kept, 2 with labels: {out}",
    ]
    second = cli("prepare", "pelvic", tmp_path / "raw", out, "--jobs", "1")
    assert second.out.splitlines()[-1] == f"0 cases made now, 2 kept, 2 with labels: {out}"


def test_faults_of_the_field_by_name(cli, tmp_path):
    sabs(tmp_path / "raw", [1], **SMALL)
    for number, (text, legacy) in enumerate(
        {
            "all": ["crop-origin", "extra-slice", "label-holes", "volume-rescale"],
            "extra-slice, crop-origin": ["crop-origin", "extra-slice"],
        }.items()
    ):
        out = tmp_path / f"out{number}"
        assert cli("prepare", "sabs", tmp_path / "raw", out, "--jobs", "1", "--legacy", text).code == 0
        assert json.loads((out / "dataset.json").read_text())["legacy"] == legacy


def test_options_of_folder(cli, tmp_path):
    nnunet(tmp_path / "raw", abdomens(["a", "b"]), unlabelled=["b"])
    out = tmp_path / "out"
    options = ("--jobs", "1", "--modality", "ct", "--spacing", "20,20", "--size", "12")
    outcome = cli("prepare", "folder", tmp_path / "raw", out, *options)
    assert outcome.code == 0
    assert "2 cases made now, 0 kept, 1 with labels" in outcome.out
    found = read_volume(out / "image_a.nii.gz")
    assert found.size_xyz == (12, 12, 5)
    assert found.spacing_mm == (20, 20, 12)
    assert found.array_zyx.max() == 255
    with_z = tmp_path / "with z"
    assert cli("prepare", "folder", tmp_path / "raw", with_z, "--jobs", "1", "--spacing", "20,20,30").code == 0
    assert read_volume(with_z / "image_a.nii.gz").spacing_mm == (20, 20, 30)


def test_the_report(cli, tmp_path):
    pelvic(tmp_path / "raw", ["000003", "000017"], **SMALL)
    out = tmp_path / "out"
    outcome = cli("prepare", "pelvic", tmp_path / "raw", out, "--jobs", "1", "--report")
    assert f"pictures and table: {out / 'report' / 'index.html'}" in outcome.out
    assert names(out / "report") == ["000003.png", "000017.png", "cases.csv", "index.html"]
    assert len(names(out)) == 4 + 2 * 2 + 1


# ---- single cases that can't be used ---------------------------------------------------------------------------


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def repaint(path: Path, grey) -> None:
    Image.fromarray(np.asarray(grey, np.uint8)).save(path)


def with_one_grey_value(path: Path) -> None:
    grey = np.array(Image.open(path))
    grey[0, 0] = 99
    repaint(path, grey)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (
            "DICOM_anon/IMG-0002-00002.dcm",
            lambda path: path.write_bytes(b"no DICOM"),
            "IMG-0002-00002.dcm is not a DIC",
        ),
        ("DICOM_anon/IMG-0002-00002.dcm", cut_in_half, "IMG-0002-00002.dcm has no pixel data in its"),
        (
            "DICOM_anon/IMG-0002-00002.dcm",
            lambda path: path.write_bytes(path.read_bytes()[:-10]),
            "IMG-0002-00002.dcm is truncated",
        ),
        ("DICOM_anon/IMG-0002-00002.dcm", Path.unlink, "slice IMG-0002-00002 has a PNG but no DICOM"),
        ("Ground/IMG-0002-00002.png", Path.unlink, "slice IMG-0002-00002 has a DICOM but no PNG"),
        ("Ground/IMG-0002-00002.png", cut_in_half, "Ground/IMG-0002-00002.png is truncated or damaged"),
        ("Ground/IMG-0002-00002.png", lambda path: repaint(path, np.zeros((16, 15))), "has shape (16, 15), its DICOM"),
        ("Ground/IMG-0002-00002.png", with_one_grey_value, "Ground/IMG-0002-00002.png holds the grey value 99"),
        (
            "Ground/IMG-0002-00002.png",
            lambda path: path.rename(path.with_name("IMG-0002-00099.png")),
            "slice IMG-0002-00002 has a DICOM but no PNG",
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_case_of_dicom_and_png(cli, tmp_path, name, spoil, message, packed):
    raw, out = tmp_path / "raw", tmp_path / "out"
    chaos_t2(raw, CHAOS, **SMALL)
    spoil(raw / T2SPIR / name)
    root = zipped(raw, tmp_path / "CHAOS_Train_Sets.zip") if packed else raw
    outcome = cli("prepare", "chaos-t2", root, out, "--jobs", "1")
    require_failed(outcome, out, "2", ["1", "3"], message)
    assert ".tmp-" not in outcome.err  # where the zip was unpacked to says nothing


def another_scans(raw: Path) -> None:
    shutil.copy(raw / SABS / "label/label0001.nii.gz", raw / SABS / "label/label0002.nii.gz")


def unknown_value(raw: Path) -> None:
    path = raw / SABS / "label/label0002.nii.gz"
    labels = read_labels(path)
    labels.array_zyx[0, 0, 0] = 77
    write_volume(labels, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (another_scans, "label0002.nii.gz has the size of RawData/Training/img/img0002.nii.gz but lies elsewhere"),
        (unknown_value, "label/label0002.nii.gz holds label 77; only 1, 2, 3"),
        (lambda raw: cut_in_half(raw / SABS / "img/img0002.nii.gz"), "img/img0002.nii.gz is truncated"),
        (lambda raw: cut_in_half(raw / SABS / "label/label0002.nii.gz"), "label/label0002.nii.gz is truncated"),
        (lambda raw: (raw / SABS / "label/label0002.nii.gz").write_bytes(b""), "label0002.nii.gz is empty"),
        (lambda raw: (raw / SABS / "label/label0002.nii.gz").unlink(), "has no label map label0002.nii.gz"),
        (lambda raw: (raw / SABS / "img/img0002.nii.gz").unlink(), "has no image img0002.nii.gz"),
    ],
)
def test_a_case_of_nifti(cli, tmp_path, spoil, message):
    raw, out = tmp_path / "raw", tmp_path / "out"
    sabs(raw, [1, 2, 3], **SMALL)
    spoil(raw)
    require_failed(cli("prepare", "sabs", raw, out, "--jobs", "1"), out, "1", ["0", "2"], message)


def test_a_damaged_member_of_a_zip(cli, tmp_path):
    chaos_t2(tmp_path / "raw", CHAOS, **SMALL)
    archive, out = zipped(tmp_path / "raw", tmp_path / "CHAOS_Train_Sets.zip"), tmp_path / "out"
    member = f"{T2SPIR}/DICOM_anon/IMG-0002-00002.dcm"
    with zipfile.ZipFile(archive) as packed:
        entry = packed.getinfo(member)
    content = bytearray(archive.read_bytes())
    content[entry.header_offset + 30 + len(member) + entry.compress_size // 2] ^= 0xFF
    archive.write_bytes(content)
    outcome = cli("prepare", "chaos-t2", archive, out, "--jobs", "1")
    require_failed(outcome, out, "2", ["1", "3"], f"{archive}: member {member} is damaged")


def test_a_truncated_zip(cli, tmp_path):
    chaos_t2(tmp_path / "raw", ["1"], **SMALL)
    archive = zipped(tmp_path / "raw", tmp_path / "CHAOS_Train_Sets.zip")
    cut_in_half(archive)
    outcome = cli("prepare", "chaos-t2", archive, tmp_path / "out")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"psmnet: {archive} is truncated or damaged")
    assert not (tmp_path / "out").exists()


def test_when_all_fail_they_are_listed_and_there_is_nothing_to_report(cli, tmp_path):
    sabs(tmp_path / "raw", [1, 2], **SMALL)
    for path in (tmp_path / "raw" / SABS / "label").iterdir():
        path.write_bytes(b"nothing")
    outcome = cli("prepare", "sabs", tmp_path / "raw", tmp_path / "out", "--jobs", "1", "--report")
    assert outcome.code == 2
    first, second, end = outcome.err.splitlines()
    assert first.startswith("failed: case 0: RawData/Training/label/label0001.nii.gz ")
    assert second.startswith("failed: case 1: RawData/Training/label/label0002.nii.gz ")
    assert end.startswith("psmnet: 2 cases failed: 0, 1; ")
    assert names(tmp_path / "out") == ["dataset.json"]


def test_a_bad_scan_among_anybodys(cli, tmp_path):
    plain(tmp_path / "raw", abdomens(["a", "b", "c"]), "{}.nii.gz", "{}_label.nii.gz")
    cut_in_half(tmp_path / "raw" / "a.nii.gz")  # the one whose axes the others would follow
    outcome = cli("prepare", "folder", tmp_path / "raw", tmp_path / "out", "--jobs", "1")
    require_failed(outcome, tmp_path / "out", "a", ["b", "c"], "a.nii.gz is truncated")


# ---- what can't be asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("atlantis", "raw", "out"), "unknown data set 'atlantis'; give one of chaos-t2, sabs, cmr, pelvic"),
        (("phantom", "raw", "out"), "phantoms need no preparing; draw them with psmnet phantom DIR"),
        (("sabs", "missing", "out"), "no folder or zip missing; check the path"),
        (("chaos-t2", "raw", "out"), "doesn't hold CHAOS-T2"),
        (("folder", "bare", "out"), "bare holds no scans; give a folder with images and labels (scan.nii.gz beside"),
        (("sabs", "raw", "raw"), "raw is the raw data itself; write elsewhere"),
        (("sabs", "raw", "file"), "file is a file; give a folder"),
        (("sabs", "raw", "out", "--legacy", "typo"), "'typo' is not a known bug that preparing can"),
        (
            ("sabs", "raw", "out", "--legacy", "class-slices"),
            "is not a known bug that preparing can reproduce; give --legacy all",
        ),
        (("sabs", "raw", "out", "--spacing", "1,1,1"), "the spacing of sabs can't be set"),
        (("folder", "raw", "out", "--spacing", "1"), "--spacing is 1; give two or three numbers in mm"),
        (("folder", "raw", "out", "--spacing", "1,x"), "--spacing is 1,x; give"),
        (("folder", "raw", "out", "--spacing", "1,0"), "--spacing is 1,0; give"),
        (("folder", "raw", "out", "--spacing", "1,nan"), "--spacing is 1,nan; give"),
        (("folder", "raw", "out", "--size", "4"), "4 is not in the range x>=8"),
        (("folder", "raw", "out", "--modality", "pet"), "'pet' is not one of 'ct', 'mr'"),
        (("sabs", "raw"), "Missing argument 'OUT'"),
    ],
)
def test_refusals(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    sabs(Path("raw"), [1], **SMALL)
    Path("file").write_text("mine")
    Path("bare").mkdir()
    before = names(tmp_path)
    outcome = cli("prepare", *arguments)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert message in line
    assert names(tmp_path) == before
    assert not Path("out").exists()
