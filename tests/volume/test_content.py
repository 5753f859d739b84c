"""Copies of a scan are recognised however they were saved, and other scans are not taken for copies."""

import itertools

import numpy as np
import pytest

from helpers.dicom_files import write_series
from psmnet.io import read_scan, write_volume
from psmnet.volume.content import content_digest
from psmnet.volume.geometry import reorient
from psmnet.volume.volume import Volume


@pytest.fixture(scope="module")
def scan() -> Volume:
    values = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    return Volume(values, (0.7, 0.8, 3.0), (1.0, -20.0, 300.5))


@pytest.mark.parametrize("name", ["copy.nii", "copy.nii.gz", "copy.nrrd"])
def test_a_copy_in_another_format(scan, tmp_path, name):
    write_volume(scan, tmp_path / name)
    assert content_digest(read_scan(tmp_path / name).volume) == content_digest(scan)


def test_a_copy_as_dicom_with_its_slope_and_intercept(scan, tmp_path):
    write_series(tmp_path, scan.array_zyx[::-1] + 1000, spacing_mm=scan.spacing_mm, intercept=-1000, shuffle=3)
    assert content_digest(read_scan(tmp_path).volume) == content_digest(scan)


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.float64])
def test_a_copy_in_another_number_type(scan, kind):
    assert content_digest(scan.with_array(scan.array_zyx.astype(kind))) == content_digest(scan)


def test_a_copy_that_lost_the_last_digits_of_double_precision(scan):
    double = scan.array_zyx / 3
    single = double.astype(np.float32)
    assert (single != double).any()
    assert content_digest(scan.with_array(single)) == content_digest(scan.with_array(double))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_a_copy_stored_in_another_order(scan, axes):
    for flips in itertools.product([False, True], repeat=3):
        assert content_digest(reorient(scan, axes, flips)) == content_digest(scan)


def test_a_copy_whose_header_was_lost(scan):
    assert content_digest(Volume(scan.array_zyx[:, ::-1])) == content_digest(scan)


def test_zeros_of_both_signs_and_all_kinds_of_not_a_number_are_the_same():
    first, second = np.zeros((2, 1, 1, 3), dtype=np.float32)
    second[0, 0, 1] = -0.0
    first[0, 0, 2] = np.nan
    second.view(np.uint32)[0, 0, 2] = 0xFFC00001
    assert np.isnan(second[0, 0, 2])
    assert content_digest(Volume(first)) == content_digest(Volume(second))


def test_other_scans_are_none(scan):
    other = scan.array_zyx.copy()
    other[2, 3, 4] += 1
    changed = {"one voxel": other, "cropped": scan.array_zyx[1:], "rescaled": scan.array_zyx * 2}
    shuffled = np.random.default_rng(1).permutation(scan.array_zyx.ravel()).reshape(scan.array_zyx.shape)
    changed |= {"the same values elsewhere": shuffled, "another shape": scan.array_zyx.reshape(7, 6, 5)}
    changed["two slices swapped"] = scan.array_zyx[[1, 0, 2, 3, 4]]
    digests = {content_digest(Volume(np.ascontiguousarray(array))) for array in changed.values()}
    assert len(digests) == len(changed)
    assert content_digest(scan) not in digests


def test_it_has_not_changed():
    """Learned networks and results hold it: another digest would make their labelled scans unknown."""
    scan = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    assert content_digest(scan) == "33101aff58851407d9e8a010a8588cdc414270c70e51072e60e4c386a7dae398"
