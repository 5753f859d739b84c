"""psmnet demo."""

import os

import pytest

from helpers.commands import contents
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume
from psmnet.system.locks import LOCK_NAME


def two_small_patients(folder, count, seed):
    """In place of five: the first is the labelled one."""
    assert count == 5
    paths = []
    for number in (1, 2):
        image, labels = draw_patient(seed + number, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
        paths.append((folder / f"image_{number}.nii.gz", folder / f"label_{number}.nii.gz"))
        write_volume(image, paths[-1][0])
        write_volume(labels, paths[-1][1])
    return paths


def test_demo(cli, tmp_path, monkeypatch):
    """With the bundled weights."""
    monkeypatch.setattr("psmnet.report.demo.write_patients", two_small_patients)
    out = tmp_path / "demo é"
    out.mkdir()
    (out / LOCK_NAME).write_bytes(b"")  # of a demo that was killed at its very beginning
    os.utime(out / LOCK_NAME, (0, 0))
    outcome = cli("demo", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Dice against the reference" in outcome.out
    assert "mean Dice 0." in outcome.out
    assert sorted(path.name for path in out.iterdir()) == [
        "image_1_overlay.png",
        "image_2_overlay.png",
        "image_2_seg.nii.gz",
        "index.html",
        "patients",
    ]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 2
    assert page.index("labelled: patient 1 (image_1)") < page.index("segmented: patient 2 (image_2)")
    assert cli("demo", "--out", out).code == 0  # again, over the same folder


@pytest.mark.parametrize(
    ("stray", "message"),
    [("out/notes.txt", "holds other files; choose another --out folder"), ("out", "is a file; give a folder")],
)
def test_a_demo_does_not_touch_other_folders(cli, tmp_path, stray, message):
    (tmp_path / stray).parent.mkdir(exist_ok=True)
    (tmp_path / stray).write_bytes(b"mine")
    outcome = cli("demo", "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (2, f"psmnet: {tmp_path / 'out'} {message}\n")
    assert contents(tmp_path) == {stray: b"mine"}
