"""psmnet demo."""

import os
import re

import pytest

from helpers.commands import contents
from helpers.learnings import quick_settings
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import read_labels, write_volume
from psmnet.system.locks import LOCK_NAME


def five_small_patients(folder, count, seed):
    """The first is the labelled one."""
    assert count == 5
    paths = []
    for number in range(1, count + 1):
        image, labels = draw_patient(seed + number, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
        paths.append((folder / f"image_{number}.nii.gz", folder / f"label_{number}.nii.gz"))
        write_volume(image, paths[-1][0])
        write_volume(labels, paths[-1][1])
    return paths


@pytest.mark.usefixtures("one_process", "quick_registration")
def test_demo(cli, tmp_path, monkeypatch):
    """With the bundled weights."""
    monkeypatch.setattr("psmnet.report.demo.write_patients", five_small_patients)
    monkeypatch.setattr("psmnet.report.demo.SETTINGS", quick_settings(rounds=2, registration=True, voters=1))
    out = tmp_path / "demo é"
    out.mkdir()
    (out / LOCK_NAME).write_bytes(b"")  # of a demo that was killed at its very beginning
    os.utime(out / LOCK_NAME, (0, 0))
    outcome = cli("demo", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Dice against the reference" in outcome.out
    found = re.search(r"mean Dice (0\.\d+) of first masks, (0\.\d+) after a short learning", outcome.out)
    assert found is not None
    first, after = found.groups()
    assert float(first) > 0.3  # the bundled weights find something
    assert sorted(path.name for path in out.iterdir()) == [
        *(f"image_{number}_overlay.png" for number in range(1, 6)),
        *("index.html", "masks", "network", "patients"),
    ]
    assert [path.name for path in (out / "network").iterdir()] == ["weights.safetensors"], "no work folder"
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["final", "first", "student", "vote"]
    mask, reference = (
        read_labels(out / name).array_zyx for name in ("masks/first/image_3.nii.gz", "patients/label_3.nii.gz")
    )
    assert mask.shape == reference.shape
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("data:image/png;base64,") == 5
    assert page.index("labelled: patient 1 (image_1)") < page.index("learned: patient 5 (image_5)")
    assert f">{first}<" in page
    assert f">{after}<" in page
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
