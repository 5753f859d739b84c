"""A mask says where it lies in its scan's own words: sform and qform as stored, with their codes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from helpers.nifti_bytes import Nifti
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.volume.geometry import center_crop_pad_volume, reorient
from psmnet.volume.resample import covering, resample_image
from psmnet.volume.volume import Volume

FIELDS = ["qform_code", "sform_code", *(f"quatern_{a}" for a in "bcd"), *(f"qoffset_{a}" for a in "xyz")]
FIELDS += [f"srow_{a}" for a in "xyz"]
TURNED = (0, -2, 0, 7, 1, 0, 0, 8, 0, 0, 3, 9)
SHEARED = (1, 0.3, 0, 11, 0, 2, 0, 20, 0, 0, 3, 30)
QFORM = (0.1, -0.2, 0.3, -11, 22.5, 1e3)
BOTH = Nifti(qform=QFORM, qform_code=1, sform=TURNED, sform_code=2)


def forms_of(path: Path) -> dict[str, Any]:
    header = nibabel.load(path).header
    fields = {name: np.float32(header[name]).tolist() for name in FIELDS}
    return fields | {"pixdim": np.float32(header["pixdim"][:4]).tolist(), "unit": header.get_xyzt_units()[0]}


SCANS = {
    "both": BOTH,
    "sform only": replace(BOTH, qform_code=0),
    "qform only": replace(BOTH, sform_code=0),
    "neither": replace(BOTH, qform_code=0, sform_code=0),
    "Talairach and MNI": replace(BOTH, qform_code=3, sform_code=4),
    "left-handed": replace(BOTH, pixdim=(-1, 1, 2, 3, 1, 1, 1, 1)),
    "sheared sform": replace(BOTH, sform=SHEARED, sform_code=1),
    "another spacing in the sform": replace(BOTH, sform=(1, 0, 0, 5, 0, 1, 0, 5, 0, 0, 1, 5)),
    "metre": replace(BOTH, units=1, pixdim=(1, 0.001, 0.002, 0.003, 1, 1, 1, 1)),
    "NIfTI-2": replace(BOTH, version=2),
    "big-endian": replace(BOTH, order=">"),
}


@pytest.mark.parametrize("case", SCANS)
def test_a_mask_has_its_scans_forms(tmp_path, case):
    path = SCANS[case].write(tmp_path / "scan.nii")
    scan = read_volume(path)
    mask = scan.with_array((scan.array_zyx > 50).astype(np.uint8))
    for name in ("mask.nii", "mask.nii.gz"):
        write_volume(mask, tmp_path / name)
        assert forms_of(tmp_path / name) == forms_of(path)
        # Whichever transform a viewer follows, it is the same matrix (NIfTI-2 has more digits).
        one, other = nibabel.load(path), nibabel.load(tmp_path / name)
        np.testing.assert_allclose(other.affine, one.affine, rtol=1e-6)
        np.testing.assert_allclose(other.get_qform(), one.get_qform(), rtol=1e-6)
        again = read_labels(tmp_path / name)
        np.testing.assert_array_equal(again.affine, scan.affine)
        np.testing.assert_array_equal(again.array_zyx, mask.array_zyx)


def test_another_grid_has_no_forms_of_the_scans(tmp_path):
    scan = read_volume(BOTH.write(tmp_path / "scan.nii"))
    assert scan.nifti_forms is not None
    assert scan.with_array(scan.array_zyx * 2).nifti_forms == scan.nifti_forms
    changed = [
        reorient(scan, (1, 0, 2), (False, True, False)),
        center_crop_pad_volume(scan, (7, 3), 0),
        covering(scan, (2, 2, 2)),
        resample_image(scan, covering(scan, (2, 2, 2))),
    ]
    for volume in changed:
        assert volume.nifti_forms is None
        write_volume(volume, tmp_path / "changed.nii")
        np.testing.assert_allclose(read_volume(tmp_path / "changed.nii").affine, volume.affine, atol=1e-4)


def test_other_formats_get_both_forms_from_the_grid(tmp_path):
    direction = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    write_volume(Volume(np.ones((2, 3, 4), np.int16), (1, 2, 3), (-7, 8, 9.5), direction), tmp_path / "scan.nrrd")
    scan = read_volume(tmp_path / "scan.nrrd")
    assert scan.nifti_forms is None
    write_volume(scan, tmp_path / "mask.nii.gz")
    header = nibabel.load(tmp_path / "mask.nii.gz").header
    expected = np.diag([-1, -1, 1, 1]) @ scan.affine
    for form in (header.get_sform(coded=True), header.get_qform(coded=True)):
        assert form[1] == 1
        np.testing.assert_allclose(form[0], expected, atol=1e-5)


def test_pixdims_spacing_is_used_where_the_sforms_differs(tmp_path):
    # As SimpleITK, 3D Slicer and nibabel's zooms have it; the direction and the origin are the sform's.
    sform = (0, -1, 0, 7, 1, 0, 0, 8, 0, 0, 1, 9)
    notes: list[str] = []
    scan = read_volume(Nifti(sform=sform, sform_code=1, qform_code=0).write(tmp_path / "scan.nii"), notes=notes)
    assert scan.spacing_mm == (1, 2, 3)
    assert scan.origin_mm == (-7, -8, 9)
    np.testing.assert_array_equal(scan.direction, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert len(notes) == 1
    assert "the sform's spacing (1, 1, 1) mm differs from pixdim's (1, 2, 3) mm; pixdim's is used" in notes[0]


@pytest.mark.parametrize(("units", "millimetres"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (7, 1)])
def test_units_of_length(tmp_path, units, millimetres):
    for codes in ({"qform_code": 1, "sform_code": 0}, {"qform_code": 0, "sform_code": 1}):
        scan = read_volume(
            Nifti(units=units, sform=(1, 0, 0, 10, 0, 2, 0, 20, 0, 0, 3, 30), **codes).write(tmp_path / "a.nii")
        )
        assert scan.spacing_mm == pytest.approx((millimetres, 2 * millimetres, 3 * millimetres))
        assert scan.origin_mm == pytest.approx((-10 * millimetres, -20 * millimetres, 30 * millimetres))


def test_files_without_orientation_keep_the_lps_axes(tmp_path):
    notes: list[str] = []
    scan = read_volume(replace(BOTH, qform_code=0, sform_code=0).write(tmp_path / "scan.nii"), notes=notes)
    np.testing.assert_array_equal(scan.direction, np.eye(3))
    assert scan.origin_mm == (0, 0, 0)
    assert "axes taken as LPS" in notes[0]


def test_a_quaternion_that_is_too_long_is_a_half_turn(tmp_path):
    # nibabel refuses these; the NIfTI library, and so most programs, take the direction that they have.
    scan = read_volume(Nifti(qform=(2, 0, 0, 0, 0, 0)).write(tmp_path / "scan.nii"))
    assert scan.nifti_forms is None
    write_volume(scan, tmp_path / "mask.nii")
    np.testing.assert_allclose(nibabel.load(tmp_path / "mask.nii").affine, np.diag([1, -2, -3, 1]), atol=1e-6)
    np.testing.assert_array_equal(scan.direction, np.diag([-1, 1, -1]))
    length = math.hypot(0.9, 0.9, 0.9)
    scan = read_volume(Nifti(qform=(0.9, 0.9, 0.9, 0, 0, 0)).write(tmp_path / "scan.nii"))
    expected = 2 * np.full((3, 3), (0.9 / length) ** 2) - np.eye(3)
    np.testing.assert_allclose(scan.direction, np.diag([-1, -1, 1]) @ expected, atol=1e-7)


def test_an_unused_transform_that_is_not_finite_is_not_repeated(tmp_path):
    scan = read_volume(Nifti(sform=(math.nan,) * 12).write(tmp_path / "scan.nii"))
    assert scan.nifti_forms is None
    write_volume(scan, tmp_path / "mask.nii")
    expected = [[1, 0, 0, 10], [0, 2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]
    np.testing.assert_array_equal(nibabel.load(tmp_path / "mask.nii").affine, expected)


def test_no_text_of_a_scans_header_reaches_its_mask(tmp_path):
    content = bytearray(BOTH.content())
    for place in (4, 14, 148, 228, 328):  # data_type, db_name, descrip, aux_file, intent_name
        content[place : place + 8] = b"DOE^JOHN"
    (tmp_path / "scan.nii").write_bytes(content)
    write_volume(read_volume(tmp_path / "scan.nii"), tmp_path / "mask.nii")
    assert b"DOE^JOHN" in content
    assert b"DOE^JOHN" not in (tmp_path / "mask.nii").read_bytes()
    assert forms_of(tmp_path / "mask.nii") == forms_of(tmp_path / "scan.nii")
