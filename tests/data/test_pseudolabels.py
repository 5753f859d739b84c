import json
from pathlib import Path

import numpy as np
import pytest

from psmnet.data.phantom import draw_patient
from psmnet.data.pseudolabel_store import LIST_NAME, is_current, listed, path_of, read_superpixels, write_superpixels
from psmnet.data.pseudolabels import body_mask, renumber, superpixel_volume, superpixels
from psmnet.data.store import Case, find_cases
from psmnet.io import read_labels, write_volume

THRESHOLD = 50.0


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))[0].array_zyx


# ---- superpixels -----------------------------------------------------------------------------------------------


def test_body_mask_is_the_largest_component_with_its_holes():
    image = np.zeros((10, 10))
    image[1:8, 1:8] = 100
    image[4, 4] = 0  # lung
    image[9, 9] = 100  # table
    image[0, 0] = THRESHOLD  # not above it
    expected = np.zeros((10, 10), bool)
    expected[1:8, 1:8] = True
    np.testing.assert_array_equal(body_mask(image, THRESHOLD), expected)


def test_ids_are_contiguous_from_one_in_every_slice(scan: np.ndarray):
    ids = superpixel_volume(scan, THRESHOLD)
    assert ids.dtype == np.int32
    assert ids.shape == scan.shape
    for slice_ids, image in zip(ids, scan, strict=True):
        inside = body_mask(image, THRESHOLD)
        np.testing.assert_array_equal(slice_ids > 0, inside)
        present = np.unique(slice_ids[inside])
        np.testing.assert_array_equal(present, np.arange(1, len(present) + 1))
        assert len(present) > 3


def test_superpixels_follow_edges():
    image = np.full((40, 40), 100.0)
    image[:, 20:] = 900
    ids = superpixels(image, THRESHOLD, min_size_px=40)
    for half in (ids[:, :12], ids[:, 28:]):
        assert len(np.unique(half)) == 1
    assert ids[0, 0] != ids[0, 39]


def test_the_smallest_superpixel_is_in_proportion_to_the_slice(scan: np.ndarray):
    # 400 pixels of 256 x 256 are 25 of 64 x 64; the body's edge may cut some.
    ids = superpixel_volume(scan, -1.0)[6]  # all is body
    assert np.bincount(ids.ravel())[1:].min() >= 25


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
@pytest.mark.parametrize("value", [0.0, -3.0])
def test_an_empty_volume_gives_zeros(threshold: float | None, value: float):
    volume = np.full((2, 16, 16), value, np.float32)
    assert (superpixel_volume(volume, threshold) == 0).all()


def test_an_empty_slice_among_others_gives_zeros(scan: np.ndarray):
    volume = scan.copy()
    volume[3] = 0
    for threshold in (THRESHOLD, None):
        ids = superpixel_volume(volume, threshold)
        assert (ids[3] == 0).all()
        assert (ids[4] > 0).any()


def test_superpixels_are_deterministic(scan: np.ndarray):
    np.testing.assert_array_equal(superpixel_volume(scan, THRESHOLD), superpixel_volume(scan.copy(), THRESHOLD))


def test_a_slices_superpixels_depend_on_that_slice_alone(scan: np.ndarray):
    np.testing.assert_array_equal(superpixel_volume(scan, THRESHOLD)[5:6], superpixel_volume(scan[5:6], THRESHOLD))


def test_intensities_of_unknown_scale_give_the_same_partition_whatever_their_scale(scan: np.ndarray):
    unit = (scan / scan.max()).astype(np.float64)
    expected = superpixel_volume(unit, None)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(superpixel_volume(unit * 1024, None), expected)  # exact in binary
    assert (superpixel_volume(unit * 1000, None) == expected).mean() > 0.99  # ties may fall otherwise
    assert (superpixel_volume(unit * 1000 - 1024, None) == expected).mean() > 0.99  # as CT has it


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([[0, 7], [3, 7]], [[0, 2], [1, 2]]),
        ([[5, 7], [3, 7]], [[2, 3], [1, 3]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
        ([[4, 4], [4, 4]], [[1, 1], [1, 1]]),
        ([[0, 1], [2, 3]], [[0, 1], [2, 3]]),
    ],
)
def test_renumber(ids: list[list[int]], expected: list[list[int]]):
    assert renumber(np.array(ids)).tolist() == expected


# ---- on disk ---------------------------------------------------------------------------------------------------


@pytest.fixture
def case(tmp_path: Path, scan: np.ndarray) -> Case:
    image, _ = draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
    write_volume(image, tmp_path / "image_7.nii.gz")
    return find_cases(tmp_path)[0]


def test_what_is_written_is_read_on_the_images_lattice(case: Case, tmp_path: Path, scan: np.ndarray):
    done: list[str] = []
    assert write_superpixels([case], tmp_path, THRESHOLD, done.append) == 1
    assert done == ["7"]
    path = path_of(tmp_path, "7")
    assert path.name == "superpix-MIDDLE_7.nii.gz"
    np.testing.assert_array_equal(read_superpixels(tmp_path, case), superpixel_volume(scan, THRESHOLD))
    np.testing.assert_allclose(read_labels(path).affine, case.image().affine, atol=1e-4)
    entry = listed(tmp_path)["7"]
    assert entry["image_sha256"] == case.checksum()
    assert entry["superpixels"] == superpixel_volume(scan, THRESHOLD).max(axis=(1, 2)).sum()


def test_what_is_there_is_not_made_again(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    before = path_of(tmp_path, "7").stat().st_mtime_ns
    done: list[str] = []
    assert write_superpixels([case], tmp_path, THRESHOLD, done.append) == 0
    assert done == ["7"]
    assert path_of(tmp_path, "7").stat().st_mtime_ns == before


def test_a_further_case_leaves_the_others_listed(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    write_volume(case.image(), tmp_path / "image_8.nii.gz")
    cases = find_cases(tmp_path)
    assert write_superpixels(cases, tmp_path, THRESHOLD) == 1
    assert all(is_current(tmp_path, c, THRESHOLD) for c in cases)


def test_files_that_the_list_does_not_name_are_not_used(case: Case, tmp_path: Path):
    foreign = case.image().with_array(np.ones((12, 64, 64), np.uint16))
    write_volume(foreign, path_of(tmp_path, "7"))
    assert not is_current(tmp_path, case, THRESHOLD)
    write_superpixels([case], tmp_path, THRESHOLD)
    assert is_current(tmp_path, case, THRESHOLD)
    assert read_superpixels(tmp_path, case).max() > 1


def test_another_threshold_is_not_current(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    assert is_current(tmp_path, case, THRESHOLD)
    assert not is_current(tmp_path, case, None)
    assert not is_current(tmp_path, case, 1e-4)


def test_a_changed_image_is_not_current(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    write_volume(case.image().with_array(case.image().array_zyx + 1), case.image_path)
    assert not is_current(tmp_path, case, THRESHOLD)


def test_a_lost_file_is_not_current(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    path_of(tmp_path, "7").unlink()
    assert not is_current(tmp_path, case, THRESHOLD)


def test_the_list_says_how_they_were_made(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    content = json.loads((tmp_path / LIST_NAME).read_text(encoding="utf-8"))
    expected = {"algorithm": "felzenszwalb", "scale": 1, "min_size_px": 400, "sigma_px": 1}
    assert content["cases"][case.id]["parameters"] == expected


def test_superpixels_of_other_parameters_or_of_a_damaged_list_are_not_current(case: Case, tmp_path: Path):
    write_superpixels([case], tmp_path, THRESHOLD)
    content = json.loads((tmp_path / LIST_NAME).read_text(encoding="utf-8"))
    content["cases"][case.id]["parameters"]["min_size_px"] = 100
    for changed in (content, {"cases": {case.id: {}}}, {"cases": []}, []):
        (tmp_path / LIST_NAME).write_text(json.dumps(changed), encoding="utf-8")
        assert not is_current(tmp_path, case, THRESHOLD)
