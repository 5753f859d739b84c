import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.nifti_bytes import CODES, Nifti, refusal
from psmnet.errors import InputError
from psmnet.io import read_header, read_labels, read_volume, write_volume
from psmnet.volume.volume import Volume

# ---- what is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "SCAN.NII.GZ"])
def test_versions_byte_orders_and_compression_read_the_same(tmp_path, version, order, name):
    # RAS offset (10, 20, 30), no rotation: LPS negates x and y.
    path = Nifti(version=version, order=order).write(tmp_path / name)
    volume = read_volume(path)
    assert volume.array_zyx.dtype == np.float32
    np.testing.assert_array_equal(volume.array_zyx, np.arange(120).reshape(6, 5, 4))
    assert volume.spacing_mm == (1, 2, 3)
    assert volume.origin_mm == (-10, -20, 30)
    np.testing.assert_array_equal(volume.direction, np.diag([-1, -1, 1]))
    header = read_header(path)
    assert header.grid.size_xyz == (4, 5, 6)
    assert header.dtype == np.dtype("f4").newbyteorder(order)
    assert header.notes == ()


def test_gzip_named_nii_and_plain_named_gz(tmp_path):
    gzipped, plain = tmp_path / "a.nii", tmp_path / "b.nii.gz"
    gzipped.write_bytes(gzip.compress(Nifti().content()))
    plain.write_bytes(Nifti().content())
    for path in (gzipped, plain):
        np.testing.assert_array_equal(read_volume(path).array_zyx, Nifti().array_zyx)


@pytest.mark.parametrize("kind", CODES)
def test_integers_stay_and_floats_become_float32(tmp_path, kind):
    path = Nifti(np.arange(8, dtype=kind).reshape(2, 2, 2)).write(tmp_path / "scan.nii")
    array = read_volume(path).array_zyx
    assert array.dtype == (np.float32 if kind[0] == "f" else np.dtype(kind))
    assert array.ravel().tolist() == list(range(8))


def test_slope_and_intercept_are_applied(tmp_path):
    path = Nifti(np.arange(8, dtype="i2").reshape(2, 2, 2), slope=2, intercept=-1).write(tmp_path / "scan.nii")
    array = read_volume(path).array_zyx
    assert array.dtype == np.float32
    assert array.ravel().tolist() == [-1, 1, 3, 5, 7, 9, 11, 13]


@pytest.mark.parametrize(
    ("slope", "intercept", "first", "last"),
    [
        (0, 5, 0, 7),
        (math.nan, 5, 0, 7),
        (math.inf, 5, 0, 7),
        (1e-30, 5, 0, 7),
        (2, math.nan, 0, 14),
        (1, math.inf, 0, 7),
    ],
)
def test_a_slope_or_intercept_that_says_nothing_is_not_applied(tmp_path, slope, intercept, first, last):
    nifti = Nifti(np.arange(8, dtype="i2").reshape(2, 2, 2), slope=slope, intercept=intercept)
    array = read_volume(nifti.write(tmp_path / "scan.nii")).array_zyx
    assert (array.min(), array.max()) == (first, last)


def test_one_volume_in_4d_is_squeezed(tmp_path):
    path = Nifti(dim=(4, 4, 5, 6, 1, 1, 1, 1)).write(tmp_path / "scan.nii")
    assert read_volume(path).size_xyz == (4, 5, 6)


def test_single_slice_in_3d_is_a_volume(tmp_path):
    path = Nifti(np.ones((1, 5, 4), "f4")).write(tmp_path / "scan.nii")
    assert read_volume(path).size_xyz == (4, 5, 1)


def test_micrometres_are_millimetres_over_1000(tmp_path):
    path = Nifti(pixdim=(1, 500, 500, 2000, 1, 1, 1, 1), units=3).write(tmp_path / "scan.nii")
    assert read_header(path).grid.spacing_mm == pytest.approx((0.5, 0.5, 2))
    assert read_volume(path).spacing_mm == pytest.approx((0.5, 0.5, 2))


def test_some_extra_bytes_are_tolerated(tmp_path):
    for name in ("a.nii", "a.nii.gz"):
        content = Nifti().content() + b"\0" * 1000
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert read_volume(tmp_path / name).array_zyx[5, 4, 3] == 119


@pytest.mark.parametrize("folder", ["with space", "исследование", "Médecine é", "DOE^JOHN", "日本"])
def test_folder_names(tmp_path, folder):
    path = tmp_path / folder / "scan ü^.nii.gz"
    write_volume(Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4)), path)
    assert read_volume(path).array_zyx[1, 2, 3] == 23
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


# ---- voxels that are not finite --------------------------------------------------------------------------------


def test_not_finite_voxels_take_the_smallest_finite_value(tmp_path):
    array = np.array([math.nan, math.inf, -math.inf, 5, -3, 2, 0, 1], dtype="f4").reshape(2, 2, 2)
    path = Nifti(array).write(tmp_path / "scan.nii")
    notes = ["before"]
    assert read_volume(path, notes=notes).array_zyx.ravel().tolist() == [-3, -3, -3, 5, -3, 2, 0, 1]
    assert notes[0] == "before"
    assert f"{path}: 3 of 8 voxels are not finite" in notes[1]
    assert "-3" in notes[1]


@pytest.mark.parametrize("version", [1, 2])
def test_not_finite_voxels_are_found_far_into_a_file(tmp_path, version):
    # 600 000 voxels of 8 bytes: several chunks. Stored 1, read as 2 * 1 + 3; the others stay out of the slope.
    array = np.ones((6, 100, 1000))
    array[5, 99, 998] = math.nan
    array[3, 0, 1] = math.inf
    notes: list[str] = []
    nifti = Nifti(array, order=">", version=version, slope=2, intercept=3)
    again = read_volume(nifti.write(tmp_path / "scan.nii.gz"), notes=notes).array_zyx
    assert np.unique(again).tolist() == [5]
    assert "2 of 600000 voxels are not finite" in notes[0]


def test_nothing_finite_is_refused(tmp_path):
    path = Nifti(np.full((2, 2, 2), math.nan, "f4")).write(tmp_path / "scan.nii")
    assert "no finite value in 8 voxels" in refusal(path)


# ---- labels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "largest", "expected"),
    [
        ("f4", 4, np.uint8),
        ("f8", 255, np.uint8),
        ("i2", 256, np.uint16),
        ("f8", 65535, np.uint16),
        ("i4", 65536, np.int32),
        ("i8", 2**31 - 1, np.int32),
        ("u8", 3, np.uint8),
    ],
)
def test_labels_take_the_smallest_type(tmp_path, kind, largest, expected):
    array = np.zeros((2, 2, 2), kind)
    array[1, 0, 1] = largest
    labels = read_labels(Nifti(array).write(tmp_path / "labels.nii")).array_zyx
    assert labels.dtype == expected
    assert labels[1, 0, 1] == largest
    assert np.count_nonzero(labels) == 1


def test_nearly_whole_labels_are_rounded(tmp_path):
    array = np.array([0, 0.9995, 2.0005, 3, -0.0005, 1, 1, 1], dtype="f4").reshape(2, 2, 2)
    labels = read_labels(Nifti(array).write(tmp_path / "labels.nii")).array_zyx
    assert labels.ravel().tolist() == [0, 1, 2, 3, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ((1, 0.37, 0.5), "f4", "looks like an image, not a label map (value 0.37)"),
        ((1, 1.002, 1), "f4", "(value 1.002)"),
        ((1, math.nan, 1), "f4", "(value nan)"),
        ((1, math.inf, 1), "f4", "(value inf)"),
        ((1, -2, 1), "i2", "must not be negative, got -2 in"),
        ((1, -2, 1), "f4", "must not be negative, got -2 in"),
        ((1, 2**31, 1), "u4", "must not exceed 2147483647, got 2147483648 in"),
    ],
)
def test_labels_refused(tmp_path, values, kind, expected):
    path = Nifti(np.array(values, dtype=kind).reshape(1, 1, 3)).write(tmp_path / "labels.nii")
    assert expected in refusal(path, read_labels)


def test_labels_pass_notes_on(tmp_path):
    notes: list[str] = []
    path = Nifti(np.ones((2, 2, 2), "u1"), qform_code=0).write(tmp_path / "labels.nii")
    read_labels(path, notes=notes)
    assert len(notes) == 1


# ---- writing ---------------------------------------------------------------------------------------------------


def rotation(degrees_x: float, degrees_z: float) -> np.ndarray:
    x, z = math.radians(degrees_x), math.radians(degrees_z)
    about_x = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    about_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    return about_z @ about_x


SIGNED = [
    np.eye(3)[:, list(axes)] * signs
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
OBLIQUE = [rotation(30, 0), rotation(45, 45), rotation(-12.3, 171), rotation(80, -63) @ np.diag([1, 1, -1])]


@pytest.mark.parametrize("direction", [*SIGNED, *OBLIQUE], ids=str)
def test_round_trip_keeps_voxels_and_affine(tmp_path, direction):
    array = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    volume = Volume(array, (0.7421875, 0.8, 7.7), (-123.4567, 210.98, -1045.25), direction)
    path = tmp_path / "scan.nii"
    write_volume(volume, path)
    again = read_volume(path)
    np.testing.assert_array_equal(again.array_zyx, array)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-4)
    header = read_header(path)
    assert header.grid.nifti_forms is not None
    assert (header.grid.nifti_forms.qform_code, header.grid.nifti_forms.sform_code) == (1, 1)
    assert header.notes == ()
    # Both transforms, on their own, say the same.
    for code in (252, 254):
        content = bytearray(path.read_bytes())
        content[code : code + 2] = b"\0\0"
        (tmp_path / "one.nii").write_bytes(content)
        np.testing.assert_allclose(read_volume(tmp_path / "one.nii").affine, volume.affine, atol=1e-4)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "i8", "f4"])
def test_written_type_is_kept(tmp_path, kind):
    write_volume(Volume(np.arange(8, dtype=kind).reshape(2, 2, 2)), tmp_path / "scan.nii.gz")
    assert read_header(tmp_path / "scan.nii.gz").dtype == np.dtype(kind)
    assert (tmp_path / "scan.nii.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_bool_half_and_strided_arrays_are_written(tmp_path):
    write_volume(Volume(np.ones((2, 2, 2), dtype=bool)), tmp_path / "mask.nii.gz")
    assert read_header(tmp_path / "mask.nii.gz").dtype == np.uint8
    write_volume(Volume(np.ones((2, 2, 2), dtype=np.float16)), tmp_path / "half.nii.gz")
    assert read_header(tmp_path / "half.nii.gz").dtype == np.float32
    strided = np.arange(64, dtype=np.int16).reshape(4, 4, 4)[::-2, ::2, ::-1]
    write_volume(Volume(strided), tmp_path / "strided.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "strided.nii.gz").array_zyx, strided)


def test_same_volume_same_bytes(tmp_path):
    volume = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    write_volume(volume, tmp_path / "a.nii.gz")
    write_volume(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def writing_refusal(path: Path, volume: Volume, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        write_volume(volume, path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert ".tmp-" not in message
    return message


def test_writing_refused(tmp_path):
    volume = Volume(np.ones((2, 2, 2), np.uint8))
    assert "unsupported suffix '.png'" in writing_refusal(tmp_path / "a.png", volume)
    (tmp_path / "there.nii.gz").write_bytes(b"old")
    assert "already exists" in writing_refusal(tmp_path / "there.nii.gz", volume, overwrite=False)
    assert (tmp_path / "there.nii.gz").read_bytes() == b"old"
    write_volume(volume, tmp_path / "there.nii.gz")
    assert read_labels(tmp_path / "there.nii.gz").array_zyx.sum() == 8
    assert "complex64" in writing_refusal(tmp_path / "a.nii", Volume(np.ones((2, 2, 2), np.complex64)))
    long = Volume(np.broadcast_to(np.uint8(0), (1, 1, 40000)))
    assert "40000" in writing_refusal(tmp_path / "a.nii", long)
    (tmp_path / "file").touch()
    writing_refusal(tmp_path / "file" / "a.nii", volume)
    (tmp_path / "folder.nii.gz").mkdir()
    writing_refusal(tmp_path / "folder.nii.gz", volume)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.nii.gz", "there.nii.gz"]


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.nrrd"])
def test_full_disk_leaves_nothing_behind(tmp_path, name):
    # Of a .nrrd ITK itself reports nothing: it writes what fits and returns.
    resource = pytest.importorskip("resource")
    noise = np.random.default_rng(0).integers(0, 256, (50, 100, 100)).astype(np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        message = writing_refusal(tmp_path / name, Volume(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "free space" in message
    assert list(tmp_path.iterdir()) == []


def test_itk_failure_is_one_line(tmp_path, monkeypatch):
    import SimpleITK

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("Exception thrown in ITK:\n/source/file.cxx:12:\nno space left")

    monkeypatch.setattr(SimpleITK, "WriteImage", fail)
    volume = Volume(np.ones((2, 2, 2), np.uint8))
    assert "(no space left)" in writing_refusal(tmp_path / "a.nrrd", volume)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    write_volume(volume, tmp_path / "a.nrrd")
    monkeypatch.setattr(SimpleITK, "ReadImage", fail)
    assert "(no space left)" in refusal(tmp_path / "a.nrrd")
