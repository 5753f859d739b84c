import itertools
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid

from helpers.dicom_files import write_series, write_slice
from helpers.places import CT
from psmnet.errors import InputError
from psmnet.io import read_dicom_series, read_labels
from psmnet.volume.geometry import Reorientation, align_labels
from psmnet.volume.volume import Volume

RAMP = np.arange(5 * 3 * 4, dtype=np.uint16).reshape(5, 3, 4)
SMOOTH = np.add.outer(8 * np.arange(32), 4 * np.arange(32)).astype(np.uint16)  # 0..372, packs well


def refusal(*files: Path, naming: int = 0) -> str:
    """The one line that says why; it names one of the files."""
    with pytest.raises(InputError) as caught:
        read_dicom_series(files)
    message = str(caught.value)
    assert "\n" not in message
    assert str(files[naming]) in message
    assert caught.value.remedy
    return message


def read_one(path: Path, notes: list[str] | None = None) -> Any:
    return read_dicom_series([path], notes=notes).volume.array_zyx[0]


# ---- order and geometry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("uids", [True, False])
def test_order_comes_from_positions_alone(tmp_path, uids):
    files = write_series(
        tmp_path / "Médecine é", RAMP, spacing_mm=(1.5, 2, 7.7), origin_mm=(-10, 20, 30.5), shuffle=3, uids=uids
    )
    assert files != sorted(files)
    notes: list[str] = []
    for order in (files, files[::-1], sorted(files)):
        series = read_dicom_series(order, notes=notes)
        np.testing.assert_array_equal(series.volume.array_zyx, RAMP)
        assert series.files == tuple(files)
        assert series.modality == "MR"
        assert series.volume.origin_mm == (-10, 20, 30.5)
        assert series.volume.spacing_mm == pytest.approx((1.5, 2, 7.7))  # not SliceThickness, which is 3
        np.testing.assert_array_equal(series.volume.direction, np.eye(3))
    assert notes == []


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


@pytest.mark.parametrize("direction", [*SIGNED, *OBLIQUE], ids=lambda d: " ".join(f"{v:.2g}" for v in d.ravel()))
def test_every_orientation_reads_right_handed(tmp_path, direction):
    written = Volume(RAMP, (0.7421875, 0.8, 7.7), (-123.4567, 210.98, -1045.25), direction)
    files = write_series(
        tmp_path, RAMP, spacing_mm=written.spacing_mm, origin_mm=written.origin_mm, direction=direction, shuffle=1
    )
    series = read_dicom_series(files)
    right_handed = np.linalg.det(direction) > 0
    # Slices that were stacked against the normal come out the other way round, each voxel where it was.
    expected = written if right_handed else Reorientation(flips=(False, False, True)).apply(written)
    assert np.linalg.det(series.volume.direction) == pytest.approx(1)
    np.testing.assert_allclose(series.volume.affine, expected.affine, atol=1e-4)
    np.testing.assert_array_equal(series.volume.array_zyx, expected.array_zyx)
    assert series.files == tuple(files if right_handed else files[::-1])


def test_rounded_cosines_are_made_orthonormal(tmp_path):
    # Three decimals, one off by one: lengths 0.99985 and 1.00056, a cosine of -0.0007 between them.
    files = write_series(tmp_path, RAMP, direction=np.array([[0.707, -0.708, 0], [0.707, 0.707, 0], [0, 0, 1]]))
    direction = read_dicom_series(files).volume.direction
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-12)


def at(folder: Path, positions: list[Any], **options: Any) -> list[Path]:
    """One slice at each z (or x, y, z) in mm, named by their order."""
    places = [place if isinstance(place, tuple) else (0, 0, place) for place in positions]
    return [write_slice(folder / f"{i}.dcm", RAMP[0], position_mm=p, **options) for i, p in enumerate(places)]


def test_uneven_slices_up_to_a_twentieth_of_a_step(tmp_path):
    notes: list[str] = []
    assert read_dicom_series(at(tmp_path / "a", [0, 2.01, 4, 6]), notes=notes).volume.spacing_mm[2] == 2
    assert notes == []
    # 0.08 mm off a lattice of 2 mm is 4 %.
    assert read_dicom_series(at(tmp_path / "b", [0, 2.08, 4, 6]), notes=notes).volume.spacing_mm[2] == 2
    assert notes == [f"{tmp_path / 'b'}: slices are 1.92 to 2.08 mm apart; the mean, 2 mm, is used"]
    files = at(tmp_path / "c", [0, 2.12, 4, 6])
    assert "2.12 mm apart where 2 mm is usual" in refusal(*files)


def test_missing_slices_are_named(tmp_path):
    positions = [2.0 * i for i in range(30)]
    for missing in (1, 15, 28):
        files = at(tmp_path / str(missing), positions)
        message = refusal(*files[:missing], *files[missing + 1 :], naming=missing - 1)
        assert str(files[missing + 1]) in message
        assert "4 mm apart where 2 mm is usual: slices are missing" in message


def test_two_slices_at_one_position_are_named(tmp_path):
    first, second = at(tmp_path / "echo 1", [0, 2, 4]), at(tmp_path / "echo 2", [0, 2, 4])
    message = refusal(*first, *second)
    assert str(second[0]) in message
    assert "at the same position (0 mm along the normal)" in message
    assert "same position" in refusal(first[0], first[0])


def test_gantry_tilt_is_refused(tmp_path):
    # tan(10 degrees) = 0.17633 mm sideways for each mm along; within a quarter of a pixel (1 mm) it passes.
    tilted = at(tmp_path / "a", [(0, 0.17633 * z, z) for z in (0.0, 5.0, 10.0)])
    message = refusal(*tilted, naming=2)
    assert "1.763 mm sideways" in message
    assert "(10 degrees: gantry tilt?)" in message
    assert read_dicom_series(at(tmp_path / "b", [(0, 0.02 * z, z) for z in (0.0, 5.0, 10.0)])).volume.spacing_mm[2] == 5


@pytest.mark.parametrize(
    ("tags", "spacing", "note"),
    [
        ({"SpacingBetweenSlices": "5.5"}, 5.5, "SpacingBetweenSlices (5.5 mm) is taken"),
        ({}, 3, "SliceThickness (3 mm) is taken"),
        ({"SpacingBetweenSlices": "-5.5"}, 3, "SliceThickness (3 mm) is taken"),
        ({"SliceThickness": None}, 1, "1 mm is assumed"),
        ({"SliceThickness": "0"}, 1, "1 mm is assumed"),
        ({"SliceThickness": ""}, 1, "1 mm is assumed"),
    ],
)
def test_a_single_slice_says_what_its_spacing_is(tmp_path, tags, spacing, note):
    path = write_slice(tmp_path / "a.dcm", RAMP[0], spacing_yx=(2, 1.5), **tags)
    notes: list[str] = []
    assert read_dicom_series([path], notes=notes).volume.spacing_mm == (1.5, 2, spacing)
    assert len(notes) == 1
    assert note in notes[0]


# ---- values ----------------------------------------------------------------------------------------------------


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path):
    stored = np.array([[[0, 100]], [[0, 100]], [[7, 1]]], dtype=np.uint16)
    files = write_series(tmp_path / "a", stored, slope=(1, 2, 400), intercept=(-1024, -10, 0), modality="CT")
    whole = read_dicom_series(files).volume.array_zyx
    assert whole.dtype == np.int16
    assert whole.tolist() == [[[-1024, -924]], [[-10, 190]], [[2800, 400]]]
    fractional = read_dicom_series(write_series(tmp_path / "b", stored, slope=(1, 0.25, 1), intercept=(0, 0.5, -3)))
    assert fractional.volume.array_zyx.dtype == np.float32
    assert fractional.volume.array_zyx.tolist() == [[[0, 100]], [[0.5, 25.5]], [[4, -2]]]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("u1", (0, 255), np.int16),
        ("i1", (-128, 127), np.int16),
        ("i2", (-32768, 32767), np.int16),
        ("u2", (0, 32767), np.int16),
        ("u2", (0, 32768), np.int32),
        ("i4", (-(2**31), 2**31 - 1), np.int32),
        ("u4", (0, 2**32 - 1), np.int64),
    ],
)
def test_integers_take_the_smallest_type_that_holds_them(tmp_path, kind, values, expected):
    array = read_one(write_slice(tmp_path / "a.dcm", np.array([values], dtype=kind)))
    assert array.dtype == expected
    assert array.tolist() == [list(values)]


def test_slices_share_a_type(tmp_path):
    files = write_series(tmp_path, np.array([[[1, 2]], [[3, 40000]]], dtype=np.uint16))
    array = read_dicom_series(files).volume.array_zyx
    assert array.dtype == np.int32
    assert array.tolist() == [[[1, 2]], [[3, 40000]]]


def test_bits_above_those_stored_are_no_part_of_the_value(tmp_path):
    # Old files keep overlays in the upper 4 of 16 bits; 0x800 is -2048 in 12 signed bits, 0xFFF is -1.
    values = np.array([[0x0800, 0x07FF, 0xFFFF, 0xF001]], dtype=np.uint16)
    assert read_one(write_slice(tmp_path / "u.dcm", values, bits_stored=12)).tolist() == [[2048, 2047, 4095, 1]]
    signed = write_slice(tmp_path / "s.dcm", values.view(np.int16), bits_stored=12)
    assert read_one(signed).tolist() == [[-2048, 2047, -1, 1]]


SYNTAXES = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
SYNTAXES += [uid.DeflatedExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_transfer_syntaxes_read_the_same(tmp_path, syntax):
    path = write_slice(tmp_path / "a", SMOOTH, syntax=syntax, bits_stored=12, slope=2, intercept=-10)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_one(path), 2 * SMOOTH.astype(int) - 10)


@pytest.mark.parametrize(
    ("modality", "slope", "expected"),
    [
        ("MR", 1, [4095, 3995]),  # 12 bits: 4095 - stored
        ("MR", 2, [8190, 7990]),
        ("CT", 1, [0, 100]),  # Hounsfield units are what they are
        ("CT", 0.5, [0, 50]),
    ],
)
@pytest.mark.parametrize("intercept", [0, -1024])
def test_inverted_grey_values(tmp_path, modality, slope, expected, intercept):
    path = write_slice(
        tmp_path / "a.dcm",
        np.array([[0, 100]], dtype=np.uint16),
        modality=modality,
        bits_stored=12,
        slope=slope,
        intercept=intercept,
        PhotometricInterpretation="MONOCHROME1",
    )
    notes: list[str] = []
    assert read_one(path, notes).tolist() == [[value + intercept for value in expected]]
    assert ("left as stored" if modality == "CT" else "inverted back") in notes[-1]


def test_signed_inverted_grey_values(tmp_path):
    # All 16 bits turned over: -1 - stored.
    stored = np.array([[-5, 7]], dtype=np.int16)
    for modality, expected in (("MR", [4, -8]), ("CT", [-5, 7])):
        path = write_slice(tmp_path / modality, stored, modality=modality, PhotometricInterpretation="MONOCHROME1")
        assert read_one(path).tolist() == [expected]


def test_padding_stays(tmp_path):
    stored = np.array([[[-2000, 5], [-2000, -1024]]] * 2, dtype=np.int16)
    files = write_series(tmp_path, stored, modality="CT", intercept=-24, PixelPaddingValue=-2000)
    notes: list[str] = []
    array = read_dicom_series(files, notes=notes).volume.array_zyx
    assert array.tolist() == [[[-2024, -19], [-2024, -1048]]] * 2
    assert notes == []


def test_a_few_bytes_after_the_pixels_are_tolerated(tmp_path):
    path = write_slice(tmp_path / "a.dcm", RAMP[0], PixelData=RAMP[0].tobytes() + b"\xff" * 6)
    np.testing.assert_array_equal(read_one(path), RAMP[0])


def test_who_was_scanned_is_not_carried_along(tmp_path):
    files = write_series(tmp_path, RAMP)
    assert b"secret-4711" in files[0].read_bytes()
    assert b"4711" not in pickle.dumps(read_dicom_series(files))


def test_libraries_are_imported_when_a_series_is_read():
    code = "import sys, psmnet.io; sys.exit(bool({'pydicom', 'SimpleITK', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- what is refused -------------------------------------------------------------------------------------------


def test_no_files():
    with pytest.raises(InputError, match="no DICOM files"):
        read_dicom_series([])


def test_files_that_are_not_dicom(tmp_path):
    good, path = write_slice(tmp_path / "a.dcm", RAMP[0]), tmp_path / "b.dcm"
    assert "does not exist" in refusal(good, path, naming=1)
    assert "can't read" in refusal(good, tmp_path, naming=1)
    path.write_bytes(b"")
    assert "is empty (0 bytes)" in refusal(good, path, naming=1)
    path.write_text("Patient: none\n" * 50)
    assert "is not a DICOM file" in refusal(good, path, naming=1)
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(path, "PNG")
    assert "is not a DICOM file" in refusal(good, path, naming=1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_name_that_is_not_utf8(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dcm"))
    write_slice(tmp_path / "a.dcm", RAMP[0]).rename(path)
    with pytest.raises(InputError, match="is not UTF-8"):
        read_dicom_series([path])


def test_header_cut_off_anywhere(tmp_path):
    path = write_slice(tmp_path / "a.dcm", RAMP[0])
    content = path.read_bytes()
    begin = content.index(b"\xe0\x7f\x10\x00")
    for length in (*range(132, begin + 12, 7), begin, begin + 4, begin + 8):
        path.write_bytes(content[:length])
        message = refusal(path)
        assert "cut off" in message or "truncated or damaged" in message or "0 of 24 bytes" in message, length


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_pixels_cut_off(tmp_path, syntax, kept):
    path = write_slice(tmp_path / "a.dcm", SMOOTH, syntax=syntax)
    content = path.read_bytes()
    begin = content.find(b"\x7f\xe0\x00\x10" if syntax == uid.ExplicitVRBigEndian else b"\xe0\x7f\x10\x00")
    begin = begin + 12 if begin > 0 else 400  # deflated: somewhere
    path.write_bytes(content[: begin + int(kept * (len(content) - begin))])
    message = refusal(path)
    assert "truncated" in message or "cut off" in message


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEG2000Lossless], ids=lambda syntax: syntax.name)
def test_compressed_stream_cut_off_in_a_whole_file(tmp_path, syntax):
    path = write_slice(tmp_path / "a.dcm", SMOOTH, syntax=syntax)
    dataset = pydicom.dcmread(path)
    frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    # Of run-length coding GDCM makes up the last few bytes if just those are missing.
    for length in (100, len(frame) // 2, len(frame) - (64 if syntax == uid.RLELossless else 4)):
        dataset.PixelData = pydicom.encaps.encapsulate([frame[:length]])
        dataset.save_as(path)
        message = refusal(path)
        assert "can't be decoded" in message
        assert syntax.name in message


def test_fewer_pixels_than_rows_and_columns_claim(tmp_path):
    # GDCM would fill the fourth row with whatever is in memory, and drop the third of three.
    assert "is truncated: 24 of 32 bytes" in refusal(write_slice(tmp_path / "a.dcm", RAMP[0], Rows=4))
    message = refusal(write_slice(tmp_path / "b.dcm", RAMP[0], Rows=2))
    assert "has 24 bytes of pixel data where 2 x 4 pixels need 16" in message
    assert "has no pixel data" in refusal(write_slice(tmp_path / "c.dcm", RAMP[0], PixelData=b""))


LUT = pydicom.Sequence([pydicom.Dataset()])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelData": None}, "has no pixel data"),
        ({"NumberOfFrames": "3", "Rows": 1}, "multi-frame (enhanced) DICOM file, 3 frames"),
        ({"PerFrameFunctionalGroupsSequence": LUT}, "multi-frame (enhanced)"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "Rows": 1}, "in colour ('RGB', 3 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colour ('PALETTE COLOR'"),
        ({"ModalityLUTSequence": LUT}, "values through a lookup table (ModalityLUTSequence)"),
        ({"ImagePositionPatient": None}, "has no ImagePositionPatient"),
        ({"ImageOrientationPatient": None}, "has no ImageOrientationPatient"),
        ({"PixelSpacing": None}, "has no PixelSpacing"),
        ({"PixelSpacing": ""}, "has no PixelSpacing"),
        ({"Rows": None}, "has no Rows"),
        ({"Columns": None}, "has no Columns"),
        ({"BitsAllocated": None}, "has no BitsAllocated"),
        ({"PixelRepresentation": None}, "has no PixelRepresentation"),
        ({"Rows": 0}, "has 0 rows and 4 columns"),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "bits allocated 1, stored 1"),
        ({"BitsStored": 12, "HighBit": 15}, "stored 12, highest 15"),
        ({"PixelRepresentation": 2}, "PixelRepresentation 2"),
        ({"PixelSpacing": ["0", "1"]}, "has PixelSpacing 0 x 1 mm"),
        ({"PixelSpacing": ["1"]}, "has PixelSpacing '1', not 2 finite numbers"),
        ({"RescaleSlope": "0"}, "has RescaleSlope 0"),
        ({"RescaleSlope": "1e39", "RescaleIntercept": "0.5"}, "beyond float32 (slope 1e+39"),
        ({"ImagePositionPatient": ["0", "0"]}, "not 3 finite numbers"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "not orthonormal"),
        ({"ImageOrientationPatient": ["0"] * 6}, "not orthonormal"),
        ({"ImageOrientationPatient": ["2", "0", "0", "0", "1", "0"]}, "not orthonormal"),
    ],
    ids=str,
)
def test_slices_refused(tmp_path, tags, expected):
    good = write_slice(tmp_path / "a.dcm", RAMP[0])
    bad = write_slice(tmp_path / "b.dcm", RAMP[1], position_mm=(0, 0, 1), **tags)
    assert expected in refusal(good, bad, naming=1)


@pytest.mark.parametrize("text", ["nan", "inf", "1,5", "one"])
@pytest.mark.parametrize(
    ("keyword", "count"), [("ImageOrientationPatient", 6), ("ImagePositionPatient", 3), ("PixelSpacing", 2)]
)
def test_values_that_are_no_numbers(tmp_path, keyword, count, text):
    # Written over in the bytes: pydicom refuses to write such.
    path = write_slice(tmp_path / "a.dcm", RAMP[0], **{keyword: ["7.12345", *["0"] * (count - 1)]})
    path.write_bytes(path.read_bytes().replace(b"7.12345", text.ljust(7).encode()))
    message = refusal(path)
    assert keyword in message
    assert "finite numbers" in message or "unreadable" in message


def test_file_without_a_transfer_syntax(tmp_path):
    path = write_slice(tmp_path / "a.dcm", RAMP[0])
    path.write_bytes(path.read_bytes().replace(b"\x02\x00\x10\x00", b"\x02\x00\x14\x00", 1))
    assert "has no TransferSyntaxUID" in refusal(path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"stored_yx": RAMP[1, :, :3]}, "has rows and columns (3, 3) where"),
        ({"spacing_yx": (1, 1.001)}, "has PixelSpacing (1.0, 1.001) where"),
        ({"orientation": (0, 1, 0, -1, 0, 0)}, "has orientation"),
        ({"orientation": (1, 0, 0, 0, math.cos(0.01), math.sin(0.01))}, "has orientation"),
        ({"modality": "PT"}, "has modality 'PT' where"),
    ],
)
def test_slices_of_two_series_name_both_files(tmp_path, options, expected):
    first = write_slice(tmp_path / "a.dcm", RAMP[0])
    second = write_slice(tmp_path / "b.dcm", **{"stored_yx": RAMP[1], "position_mm": (0, 0, 1), **options})
    message = refusal(second, first)
    assert expected in message
    assert str(first) in message


def test_last_digits_of_spacing_and_orientation_may_differ(tmp_path):
    first = write_slice(tmp_path / "a.dcm", RAMP[0])
    tilted = (1, 0, 0, 0, math.cos(5e-4), math.sin(5e-4))
    second = write_slice(
        tmp_path / "b.dcm", RAMP[1], position_mm=(0, 0, 1), spacing_yx=(1, 1.00001), orientation=tilted
    )
    assert read_dicom_series([second, first]).volume.spacing_mm == (1, 1, 1)


# ---- a real scan -----------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not CT.is_dir(), reason="needs the CT scan in ../shared/data/ct_dicom")


@real
@pytest.mark.real_data
def test_real_ct_series_and_its_labels():
    notes: list[str] = []
    series = read_dicom_series(list((CT / "series").iterdir()), notes=notes)
    image = series.volume
    assert notes == []
    assert series.modality == "CT"
    assert len(series.files) == 20
    assert image.size_xyz == (512, 512, 20)
    assert image.spacing_mm == (0.9765625, 0.9765625, 2.0)  # SliceThickness says 3
    assert image.array_zyx.dtype == np.int16
    assert image.array_zyx.min() == -1024
    assert 1000 < image.array_zyx.max() < 3072

    labels = read_labels(CT / "labels.nii.gz")
    assert not np.allclose(labels.direction, image.direction)
    aligned = align_labels(image, labels)
    for value in np.unique(labels.array_zyx)[1:]:
        stored, laid = np.argwhere(labels.array_zyx == value), np.argwhere(aligned.array_zyx == value)
        assert len(stored) == len(laid)
        middles = [v.affine @ [*places.mean(axis=0)[::-1], 1] for v, places in ((labels, stored), (aligned, laid))]
        np.testing.assert_allclose(*middles, atol=1e-3)
    # 1 spleen, 5 liver, 52 aorta with contrast agent, 79 spinal cord
    for value, least, most in ((1, 60, 110), (5, 70, 120), (52, 120, 220), (79, 0, 50)):
        assert least < image.array_zyx[aligned.array_zyx == value].mean() < most


@real
@pytest.mark.real_data
def test_real_slices_without_uids():
    files = sorted((CT / "no_uids").iterdir())
    volume = read_dicom_series(files).volume
    assert volume.spacing_mm == (0.9765625, 0.9765625, 2.0)
    whole = read_dicom_series(list((CT / "series").iterdir()))
    names = [path.name for path in whole.files]
    for path, values in zip(read_dicom_series(files).files, volume.array_zyx, strict=True):
        np.testing.assert_array_equal(values, whole.volume.array_zyx[names.index(path.name)])
