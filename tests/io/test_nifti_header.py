import gzip
import math
import os
import re
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.nifti_bytes import SROW, Nifti, refusal
from helpers.permissions import binding
from psmnet.errors import InputError
from psmnet.io import read_header, read_volume, write_volume
from psmnet.volume.volume import Volume

# ---- stored orientation ----------------------------------------------------------------------------------------


def test_no_orientation_is_identity_with_a_note(tmp_path):
    path = Nifti(qform_code=0).write(tmp_path / "scan.nii")
    notes: list[str] = []
    volume = read_volume(path, notes=notes)
    np.testing.assert_array_equal(volume.direction, np.eye(3))
    assert volume.origin_mm == (0, 0, 0)
    assert len(notes) == 1
    assert str(path) in notes[0]
    assert "qform_code = sform_code = 0" in notes[0]


MOVED = (1, 0, 0, 11, 0, 2, 0, 20, 0, 0, 3, 30)  # as the qform, 1 mm further along x
SHEARED = (1, 0.3, 0, 11, 0, 2, 0, 20, 0, 0, 3, 30)


@pytest.mark.parametrize(
    ("qform_code", "sform_code", "sform", "used"),
    [
        *((q, 1, MOVED, "sform") for q in range(5)),
        *((q, s, MOVED, "sform") for q in (0, 1, 2) for s in (2, 3, 4)),
        (1, 0, MOVED, "qform"),
        *((1, s, SHEARED, "qform") for s in (1, 2)),
    ],
)
def test_the_sform_is_followed_else_the_qform(tmp_path, qform_code, sform_code, sform, used):
    path = Nifti(qform_code=qform_code, sform_code=sform_code, sform=sform).write(tmp_path / "scan.nii")
    assert read_volume(path).origin_mm[0] == (-11 if used == "sform" else -10)


def test_disagreeing_transforms_are_noted(tmp_path):
    path = Nifti(sform_code=1, sform=MOVED).write(tmp_path / "scan.nii")
    (note,) = read_header(path).notes
    assert "disagree by up to 1 mm" in note
    assert "sform is used" in note
    near = (1, 0, 0, 10.05, 0, 2, 0, 20, 0, 0, 3, 30)
    assert read_header(Nifti(sform_code=1, sform=near).write(tmp_path / "near.nii")).notes == ()


def test_rotated_qform_and_sform_that_agree_need_no_note(tmp_path):
    # A quarter turn about z and a left-handed third axis: quaternion (cos 45, 0, 0, sin 45), pixdim[0] = -1.
    quarter = math.sqrt(0.5)
    sform = (0, -2, 0, 10, 1, 0, 0, 20, 0, 0, -3, 30)
    nifti = Nifti(pixdim=(-1, 1, 2, 3, 1, 1, 1, 1), qform=(0, 0, quarter, 10, 20, 30), sform_code=1, sform=sform)
    assert read_header(nifti.write(tmp_path / "scan.nii")).notes == ()


def test_half_turn_quaternion(tmp_path):
    # (b, c, d) = (1, 0, 0): half a turn about x.
    sform = (1, 0, 0, 10, 0, -2, 0, 20, 0, 0, -3, 30)
    nifti = Nifti(qform=(1, 0, 0, 10, 20, 30), sform_code=2, sform=sform)
    assert read_header(nifti.write(tmp_path / "scan.nii")).notes == ()


def test_sform_spacing_that_differs_from_pixdim_is_noted(tmp_path):
    path = Nifti(qform_code=0, sform_code=1).write(tmp_path / "scan.nii")  # pixdim 1, 2, 3; sform 1, 1, 1
    (note,) = read_header(path).notes
    assert "(1, 1, 1)" in note
    assert "(1, 2, 3)" in note
    assert read_volume(path).spacing_mm == (1, 2, 3)


# ---- what is refused -------------------------------------------------------------------------------------------


REFUSED = {
    "2D": (Nifti(dim=(2, 4, 30, 1, 1, 1, 1, 1)), "2D image (4 x 30)"),
    "4D": (Nifti(dim=(4, 4, 5, 3, 2, 1, 1, 1)), "holds 2 volumes (4 x 5 x 3 x 2)"),
    "5D vector": (Nifti(dim=(5, 4, 5, 2, 1, 3, 1, 1)), "is a colour image (4 x 5 x 2 x 1 x 3); give a grey image"),
    "5D vector of two": (Nifti(dim=(5, 4, 5, 2, 1, 2, 1, 1)), "holds 2 volumes (4 x 5 x 2 x 1 x 2)"),
    "5D in time": (Nifti(dim=(5, 4, 5, 2, 3, 1, 1, 1)), "holds 3 volumes"),
    "dim 0": (Nifti(dim=(0, 4, 5, 6, 1, 1, 1, 1)), "claims 0 dimensions"),
    "dim 9": (Nifti(dim=(9, 4, 5, 6, 1, 1, 1, 1)), "claims 9 dimensions"),
    "negative size": (Nifti(dim=(3, 4, -5, 6, 1, 1, 1, 1)), "4 x -5 x 6"),
    "absurd size": (Nifti(dim=(3, 32767, 32767, 32767, 1, 1, 1, 1)), "= 35181150961663 voxels"),
    "RGB": (Nifti(datatype=128), "RGB voxels (datatype 128)"),
    "RGBA": (Nifti(datatype=2304), "RGBA voxels (datatype 2304)"),
    "complex": (Nifti(datatype=32), "complex64 voxels (datatype 32)"),
    "binary": (Nifti(datatype=1), "binary voxels (datatype 1)"),
    "unknown": (Nifti(datatype=77), "unknown voxels (datatype 77)"),
    "zero spacing": (Nifti(pixdim=(1, 1, 0, 3, 1, 1, 1, 1)), "spacing of (1, 0, 3)"),
    "negative spacing": (Nifti(pixdim=(1, 1, -2, 3, 1, 1, 1, 1)), "spacing of (1, -2, 3)"),
    "NaN spacing": (Nifti(pixdim=(1, 1, math.nan, 3, 1, 1, 1, 1)), "spacing of (1, nan, 3)"),
    "infinite spacing": (Nifti(pixdim=(1, 1, math.inf, 3, 1, 1, 1, 1)), "spacing of (1, inf, 3)"),
    "offset in header": (Nifti(voxel_offset=0), "at byte 0"),
    "NaN offset": (Nifti(voxel_offset=math.nan), "at byte nan"),
    "huge offset": (Nifti(voxel_offset=1e12), "at byte 1e+12"),
    "NaN qform": (Nifti(qform=(0, 0, 0, math.nan, 0, 0)), "qform that is not finite"),
    "NaN sform": (Nifti(sform_code=1, sform=(math.nan, *SROW[1:])), "sform that is not finite"),
    "sheared": (Nifti(qform_code=0, sform_code=1, sform=SHEARED), "sheared affine (sform, cosine 0.1483"),
    "flat sform": (Nifti(qform_code=0, sform_code=1, sform=(0.0,) * 12), "sheared affine"),
    "half a pair": (Nifti(magic=b"ni1\0"), "is not a single-file NIfTI image"),
    "Analyze": (Nifti(magic=b"\0\0\0\0"), "is not a single-file NIfTI image"),
    "far too long": (
        Nifti(np.zeros((2, 800, 800), "f4"), dim=(3, 4, 5, 6, 1, 1, 1, 1)),
        "is longer than the 832 bytes that its header claims",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    nifti, expected = REFUSED[case]
    assert expected in refusal(nifti.write(tmp_path / "scan.nii"))


@pytest.mark.parametrize("path", ["m\udcfcller.nii", "m\udcfcller/scan.nii.gz"])
def test_names_that_are_not_utf_8_are_refused(tmp_path, path):
    """Whether there is such a file or not: SimpleITK would end the process."""
    with pytest.raises(InputError, match=r"m\\udcfcller.* is not UTF-8; rename the file"):
        read_header(tmp_path / path)
    with pytest.raises(InputError, match=r"m\\udcfcller.* is not UTF-8; rename the file"):
        write_volume(Volume(np.zeros((2, 3, 4), np.uint8)), tmp_path / path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["2D", "4D", "5D vector", "RGB", "zero spacing", "absurd size"])
def test_refused_in_nifti2(tmp_path, case):
    nifti, expected = REFUSED[case]
    assert expected in refusal(replace(nifti, version=2, order=">").write(tmp_path / "scan.nii.gz"))


def test_shear_below_rounding_is_none(tmp_path):
    for cosine, fits in ((0.9e-4, True), (1.1e-4, False)):
        sform = (1, 2 * cosine, 0, 10, 0, 2, 0, 20, 0, 0, 3, 30)
        path = Nifti(qform_code=0, sform_code=1, sform=sform).write(tmp_path / "scan.nii")
        if fits:
            assert read_volume(path).spacing_mm == (1, 2, 3)
        else:
            assert "sheared affine" in refusal(path)


def test_missing_folder_suffix_and_empty(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.nii")
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "scan.img").write_bytes(b"NRRD0004")
    assert "has the suffix '.img'" in refusal(tmp_path / "scan.img")
    for name in ("empty.nii", "empty.nii.gz"):
        (tmp_path / name).touch()
        assert "is empty (0 bytes)" in refusal(tmp_path / name)
    (tmp_path / "hollow.nii.gz").write_bytes(gzip.compress(b""))
    assert "not a NIfTI image" in refusal(tmp_path / "hollow.nii.gz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_no_file_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    assert "not a regular file" in refusal(tmp_path / "pipe.nii")


def test_unreadable(tmp_path):
    path = Nifti().write(tmp_path / "scan.nii")
    path.chmod(0)
    with binding():
        assert "Permission denied" in refusal(path)


def test_in_a_folder_that_may_be_listed_but_not_entered(tmp_path):
    path = Nifti().write(tmp_path / "scan.nii")
    tmp_path.chmod(0o400)
    with binding():
        message = refusal(path)
    tmp_path.chmod(0o700)
    assert "can't read" in message
    assert "Permission denied" in message


def test_unreadable_by_an_input_output_error(tmp_path, monkeypatch):
    path = Nifti().write(tmp_path / "scan.nii")

    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert "can't read" in refusal(path)


def test_not_an_image(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"\x89PNG" + b"\0" * 1000)
    assert "is not a NIfTI image" in refusal(tmp_path / "a.nii")
    (tmp_path / "b.nii").write_bytes(b"ab")
    assert "is not a NIfTI image" in refusal(tmp_path / "b.nii")
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(b"hello world"))
    assert "is not a NIfTI image" in refusal(tmp_path / "c.nii.gz")


def test_truncated(tmp_path):
    (tmp_path / "head.nii").write_bytes(Nifti().content()[:200])
    assert "200 of 348 header bytes" in refusal(tmp_path / "head.nii")
    (tmp_path / "plain.nii").write_bytes(Nifti().content()[:-10])  # 352 + 120 * 4 = 832
    assert "822 of 832 bytes" in refusal(tmp_path / "plain.nii")
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(Nifti().content()[:-10]))  # whole stream, too few voxels
    assert "822 of 832 bytes" in refusal(tmp_path / "short.nii.gz")


def test_truncated_gzip_says_how_far_it_got(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 100, 100)).astype("u1")
    whole = gzip.compress(Nifti(noise).content())
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(whole[: len(whole) // 2])
    found = re.search(r"breaks off after (\d+) of 200352 bytes", refusal(path))
    assert found
    assert 90_000 <= int(found[1]) <= 101_000
    path.write_bytes(whole[:-4])  # all voxels, but the stream has lost its end
    refusal(path)
    path.write_bytes(whole[:100])
    assert "truncated" in refusal(path)


def test_damaged_gzip(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 100, 100)).astype("u1")
    whole = bytearray(gzip.compress(Nifti(noise).content()))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(whole)
    assert "damaged" in refusal(path)


def test_gzip_bomb_and_absurd_claims_answer_quickly_in_little_memory(tmp_path):
    bomb = tmp_path / "bomb.nii.gz"
    mebibyte = gzip.compress(b"\0" * (1 << 20))
    bomb.write_bytes(gzip.compress(Nifti().content()) + mebibyte * 2000)  # members unpack one after another: 2 GiB
    absurd = Nifti(dim=(3, 32767, 32767, 32767, 1, 1, 1, 1)).write(tmp_path / "absurd.nii.gz")
    big = Nifti(dim=(3, 1500, 1500, 1500, 1, 1, 1, 1)).write(tmp_path / "big.nii.gz")  # allowed, 13.5 GB, not there
    tracemalloc.start()
    begin = time.perf_counter()
    assert "is longer than the 832 bytes" in refusal(bomb)
    assert "35181150961663 voxels" in refusal(absurd)
    assert "832 of 13500000352 bytes" in refusal(big)
    seconds = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 2
    assert peak < 10 << 20


def test_bad_file_answers_before_simpleitk_is_imported(tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"no image")
    code = (
        "import sys; from psmnet.io import read_volume; from psmnet.errors import InputError\n"
        "try: read_volume(sys.argv[1])\n"
        "except InputError: print('SimpleITK' in sys.modules, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "scan.nii")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
