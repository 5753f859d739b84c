"""Bad input gets one line on standard error (what, which value, what to do), exit code 2 and nothing half-written."""

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.commands import only_line
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.system.files import read_json
from psmnet.volume.volume import Volume

pytestmark = pytest.mark.usefixtures("one_process")


@dataclass
class Desk:
    """A query, a labelled support and weights in a folder, and the command that takes them."""

    cli: Callable[..., Any]
    folder: Path
    weights: Path

    @property
    def query(self) -> Path:
        return self.folder / "query.nii.gz"

    @property
    def support(self) -> Path:
        return self.folder / "support.nii.gz"

    @property
    def labels(self) -> Path:
        return self.folder / "support_labels.nii.gz"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def arguments(self, *more: object, query: object = None, weights: object = None) -> list[str]:
        """Of `psmnet segment`."""
        pair = ("--support", self.support, self.labels)
        chosen = ("--weights", weights or self.weights, "--out", self.out, "--device", "cpu")
        return [str(a) for a in ("segment", query or self.query, *pair, *chosen, *more)]

    def refusal(self, *arguments: object) -> str:
        """The one line that a command is refused with, without its first word."""
        return only_line(self.cli(*arguments))


def leftovers(folder: Path) -> list[str]:
    """Temporary files and locks."""
    return [str(path) for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.fixture
def desk(cli: Callable[..., Any], tmp_path: Path, phantoms: Path, tiny_weights: Path) -> Desk:
    found = Desk(cli, tmp_path, tiny_weights)
    shutil.copy(phantoms / "image_1.nii.gz", found.query)
    shutil.copy(phantoms / "image_2.nii.gz", found.support)
    shutil.copy(phantoms / "label_2.nii.gz", found.labels)
    return found


def replace_labels(desk: Desk, change: Callable[[np.ndarray], np.ndarray]) -> None:
    labels = read_labels(desk.labels)
    write_volume(labels.with_array(change(labels.array_zyx)), desk.labels)


def move_labels(desk: Desk, x_mm: float, y_mm: float, z_mm: float) -> None:
    labels = read_labels(desk.labels)
    x, y, z = labels.origin_mm
    write_volume(Volume(labels.array_zyx, labels.spacing_mm, (x + x_mm, y + y_mm, z + z_mm)), desk.labels)


# ---- scans -----------------------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def as_text(path: Path) -> None:
    path.write_text("patient, date\n", encoding="utf-8")


def two_dimensional(path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((64, 48), dtype=np.float32)), str(path))


def without_numbers(path: Path) -> None:
    write_volume(Volume(np.full((4, 16, 16), np.nan, dtype=np.float32)), path)


def outputs_of(name: str) -> list[str]:
    """Files of a folder in which one scan was segmented."""
    own = [f"{name}_{end}" for end in ("overlay.png", "seg.json", "seg.nii.gz")]
    return sorted(["contact_sheet.html", "report.json", "summary.csv", *own])


def constant(path: Path) -> None:
    scan = read_volume(path)
    write_volume(scan.with_array(np.full_like(scan.array_zyx, 7)), path)


SPOILT = [
    (Path.unlink, "does not exist|no file or folder"),
    (as_text, "damaged|not a NIfTI image"),
    (cut_short, r"truncated: its gzip stream breaks off after \d+ of 196960 bytes; copy or download it again"),
    (two_dimensional, r"is a 2D image \(48 x 64\); give a 3D scan"),
    (without_numbers, "has no finite value in 1024 voxels; export the scan again"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT, ids=lambda p: getattr(p, "__name__", ""))
@pytest.mark.parametrize("which", ["query", "support"])
def test_scans_that_can_not_be_used(desk, which, spoil, message):
    path = getattr(desk, which)
    size = read_volume(path).array_zyx.nbytes
    assert size + 352 == 196960
    spoil(path)
    line = desk.refusal(*desk.arguments())
    assert path.name in line
    assert re.search(message, line)
    assert not list(desk.folder.rglob("*_seg.nii.gz"))
    assert not leftovers(desk.folder)


@pytest.mark.parametrize(("which", "named"), [("query", "query.nii.gz: the scan"), ("support", "the support")])
def test_constant_scans(desk, which, named):
    constant(getattr(desk, which))
    line = desk.refusal(*desk.arguments())
    assert f"{named} is constant: every voxel is 7; give a scan with contrast" in line
    assert not list(desk.folder.rglob("*_seg.nii.gz"))
    assert not leftovers(desk.folder)


def test_a_bad_query_does_not_stop_the_others(desk, phantoms):
    shutil.copy(phantoms / "image_3.nii.gz", desk.folder / "zebra.nii.gz")
    cut_short(desk.query)
    line = desk.refusal(*desk.arguments(desk.folder / "zebra.nii.gz"))
    assert line.startswith("1 of 2 scans failed: query.nii.gz is truncated: ")
    assert line.endswith("; copy or download it again (the others are kept)")
    assert sorted(path.name for path in desk.out.iterdir()) == outputs_of("zebra")


def test_a_failed_scan_is_named_once_with_one_remedy(desk):
    notes = desk.folder / "notes.txt"
    as_text(notes)
    assert desk.refusal(*desk.arguments(query=notes)) == (
        "1 of 1 scan failed: notes.txt has the suffix '.txt'; give a .nii, .nii.gz, .nrrd or .mha file"
    )


# ---- labels ----------------------------------------------------------------------------------------------------


def test_a_missing_label_map(desk):
    desk.labels.unlink()
    assert "support_labels.nii.gz does not exist" in desk.refusal(*desk.arguments())


@pytest.mark.parametrize(
    ("moved_mm", "offset"),
    [
        ((3.5, 0.0, 0.0), "3.5 mm"),  # not a whole voxel
        ((0.0, 0.0, 24.0), "24 mm"),  # two slices
        ((3.0, 4.0, 0.0), "5 mm"),
    ],
)
def test_labels_on_another_lattice(desk, moved_mm, offset):
    move_labels(desk, *moved_mm)
    line = desk.refusal(*desk.arguments())
    assert f"voxels are up to {offset} apart" in line
    assert "support_labels.nii.gz" in line
    assert not desk.out.exists()


def test_labels_on_another_lattice_may_be_trusted(desk):
    move_labels(desk, 3.5, 0.0, 0.0)
    assert desk.cli(*desk.arguments("--trust-support-grid")).code == 0


def test_labels_of_another_resolution(desk):
    labels = read_labels(desk.labels)
    half = Volume(labels.array_zyx[:, ::2, ::2], (10.0, 10.0, 12.0), labels.origin_mm)
    write_volume(half, desk.labels)
    line = desk.refusal(*desk.arguments("--trust-support-grid"))
    assert "size (32, 32, 12)" in line
    assert "resample it onto the scan's grid" in line


def test_a_label_map_smaller_than_its_scan_is_noted(desk):
    labels = read_labels(desk.labels)
    write_volume(Volume(labels.array_zyx[:10], labels.spacing_mm, labels.origin_mm), desk.labels)
    outcome = desk.cli(*desk.arguments())
    note = "support_labels.nii.gz covers 64 x 64 x 10 of 64 x 64 x 12 voxels; the rest is taken as background"
    assert outcome.code == 0, outcome.err
    assert f"note: {note}" in outcome.out
    assert read_json(desk.out / "report.json")["notes"] == [note]


def test_an_empty_support_mask(desk):
    replace_labels(desk, np.zeros_like)
    assert "support_labels.nii.gz has no labelled voxel; is this the label map of support.nii.gz?" in desk.refusal(
        *desk.arguments()
    )
    assert not desk.out.exists()


def test_a_support_mask_without_background(desk):
    replace_labels(desk, lambda array: np.maximum(array, 1))
    assert "the support mask has no background: every voxel is labelled; " in desk.refusal(*desk.arguments())
    assert not desk.out.exists()


def test_an_image_in_the_place_of_its_label_map(desk):
    twice = ("--support", desk.support, desk.support)
    line = desk.refusal(*desk.arguments(*twice))
    assert "is given as image and as label map; give two files: --support IMAGE LABEL" in line
    image = read_volume(desk.support)
    write_volume(image.with_array(image.array_zyx.clip(0).astype(np.uint16)), desk.labels)
    assert re.search(
        r"not a label map; give the image first, then its label map",
        desk.refusal(*desk.arguments()),
    )
    assert not desk.out.exists()


def test_labels_that_are_not_whole_numbers(desk):
    replace_labels(desk, lambda array: array * np.float32(0.5))
    line = desk.refusal(*desk.arguments())
    assert re.search(
        r"labels.nii.gz looks like an image, not a label map \(value \d.5\); give the image first, then its", line
    )


def test_negative_labels(desk):
    replace_labels(desk, lambda array: array.astype(np.int16) * -3)
    assert "must not be negative, got -" in desk.refusal(*desk.arguments())


def test_a_label_that_the_support_has_not(desk):
    line = desk.refusal(*desk.arguments("--labels", "1,9"))
    assert line == "label 9 is not in the support; choose from 1, 2, 3, 4, 5"
    assert not desk.out.exists()


@pytest.mark.parametrize("text", ["liver", "1,,2", "0", "-1", "1.5", ""])
def test_labels_that_are_no_labels(desk, text):
    assert f"--labels is {text}".strip() in desk.refusal(*desk.arguments("--labels", text))


# ---- names that are no Unicode text ----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="other systems make no such name")
@pytest.mark.parametrize(("name", "failed"), [("m\udcfcller", ["m\udcfcller.nii.gz"]), ("m\udcfcller_seg", [])])
def test_a_name_that_is_not_utf_8_does_not_stop_the_others(desk, phantoms, name, failed):
    scans = desk.folder / "scans"
    scans.mkdir()
    shutil.copy(desk.query, scans / "a.nii.gz")
    shutil.copy(desk.query, scans / f"{name}.nii.gz")
    outcome = desk.cli(*desk.arguments(query=scans))
    if failed:
        assert "m\\udcfcller.nii.gz is not UTF-8; rename the file (the others are kept)" in only_line(outcome)
    else:
        assert (outcome.code, outcome.err) == (0, "")
    assert sorted(path.name for path in desk.out.iterdir()) == outputs_of("a")
    report = read_json(desk.out / "report.json")
    assert [entry["query"] for entry in report["failed"]] == failed
    assert len(report["skipped"]) == (0 if failed else 1)


# ---- weights and output ----------------------------------------------------------------------------------------


def test_no_weights(desk):
    assert "no file or folder 'nowhere'; give a run's folder" in desk.refusal(*desk.arguments(weights="nowhere"))


def test_a_run_that_is_not_finished(desk):
    line = desk.refusal(*desk.arguments(weights=desk.folder))
    assert "has no weights.safetensors; give the folder of a finished training (to finish it: psmnet train " in line


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_weights(desk, damage):
    path = desk.folder / "w.safetensors"
    whole = desk.weights.read_bytes()
    path.write_bytes({"cut": whole[:-100], "text": b"weights", "empty": b""}[damage])
    line = desk.refusal(*desk.arguments(weights=path))
    assert f"{path} is damaged or is not a weights file" in line
    assert not desk.out.exists()


def test_weights_of_another_program(desk):
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, desk.folder / "w.safetensors")
    assert "is damaged or is not a weights file" in desk.refusal(*desk.arguments(weights=desk.folder / "w.safetensors"))


def test_an_output_folder_that_can_not_be_made(desk):
    """Root may write anywhere, so a file stands in the way."""
    (desk.folder / "out").write_text("a file", encoding="utf-8")
    assert desk.refusal(*desk.arguments()) == f"{desk.out} is a file; give a folder"
    assert f"can't write {desk.out / 'deeper'}" in desk.refusal(*desk.arguments("--out", desk.out / "deeper"))
    assert desk.out.read_text(encoding="utf-8") == "a file"


def test_a_device_that_is_not_here(desk):
    line = desk.refusal(*desk.arguments("--device", "abacus"))
    assert line == "device 'abacus' is not available on this machine; give cpu or auto"


def test_a_full_disk_leaves_nothing_half_written(desk, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left on device" in desk.refusal(*desk.arguments())
    assert not desk.out.exists()


def test_names_that_are_too_long(cli, tmp_path):
    name = "n" * 300 + ".nii.gz"
    line = only_line(cli("segment", name, "--support", name, name, "--out", tmp_path / "out"))
    assert "can't use nnn" in line


# ---- as a process ----------------------------------------------------------------------------------------------


def process(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "from psmnet.cli.main import main; main()", *arguments],
        capture_output=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def test_itk_is_silent(desk):
    """ITK warns below Python of an sform that disagrees with the spacing; psmnet has a note on standard output."""
    path = desk.query
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<3f", content, 80, 6.0, 5.0, 12.0)  # pixdim; the sform says 5 mm along x
    path.write_bytes(gzip.compress(bytes(content)))
    naive = "import sys, SimpleITK; SimpleITK.ReadImage(sys.argv[1])"
    warned = subprocess.run([sys.executable, "-c", naive, str(path)], capture_output=True, check=True)
    assert b"WARNING" in warned.stderr, "else there is nothing to silence"
    done = process(desk.arguments())
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"the sform's spacing (5, 5, 12) mm differs from pixdim's (6, 5, 12) mm" in done.stdout


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "utf-8"))]
)
def test_names_of_any_script_do_not_crash_a_pipe(desk, encoding):
    folder = desk.folder / "снимки é ^"
    folder.mkdir()
    query = folder / "пациент.nii.gz"
    shutil.copy(desk.query, query)
    cut_short(desk.query)
    desk.query.rename(folder / "плохой.nii.gz")
    out = folder / "маски"
    done = process(desk.arguments("--out", out, query=folder), PYTHONIOENCODING=encoding)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    line = done.stderr.decode(encoding)
    assert "truncated" in line
    bad = "плохой"
    assert (bad if encoding == "utf-8" else bad.encode("ascii", "backslashreplace").decode()) in line
    assert "Traceback" not in line
    assert "masks: 1 in " in done.stdout.decode(encoding)
    assert sorted(path.name for path in out.iterdir()) == outputs_of("пациент")
    assert "пациент" in (out / "report.json").read_text(encoding="utf-8")


def test_weights_of_a_method_that_is_not_trained(desk):
    said = desk.refusal(*desk.arguments("--method", "registration"))
    assert said.startswith(f"weights {desk.weights} with registration, which is not trained; leave out --weights")
