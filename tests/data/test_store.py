import hashlib
from pathlib import Path

import numpy as np
import pytest

from psmnet.data.store import choose, find_cases
from psmnet.errors import InputError
from psmnet.io import write_volume
from psmnet.volume.volume import Volume


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"")


def test_cases_are_sorted_by_number_then_by_name(tmp_path: Path):
    touch(tmp_path, *(f"image_{i}.nii.gz" for i in ("10", "2", "b", "1", "a")), "image_3.nii")
    touch(tmp_path, "label_2.nii.gz", "superpix-MIDDLE_2.nii.gz", "image_4.mha", "image_.nii.gz", "my_image_5.nii.gz")
    assert [case.id for case in find_cases(tmp_path)] == ["1", "2", "3", "10", "a", "b"]


def test_ids_may_hold_dots_and_underscores(tmp_path: Path):
    touch(tmp_path, "image_site.a_7.nii.gz")
    (case,) = find_cases(tmp_path)
    assert case.id == "site.a_7"
    assert case.label_path == tmp_path / "label_site.a_7.nii.gz"


def test_the_word_image_in_an_id_or_a_folder_stays(tmp_path: Path):
    folder = tmp_path / "image_folder"
    folder.mkdir()
    touch(folder, "image_image_7.nii.gz")
    (case,) = find_cases(folder)
    assert case.label_path == folder / "label_image_7.nii.gz"


def test_folders_without_cases(tmp_path: Path):
    with pytest.raises(InputError, match="no image_<id>"):
        find_cases(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        find_cases(tmp_path / "absent")


def test_two_images_of_one_id_are_refused(tmp_path: Path):
    touch(tmp_path, "image_1.nii", "image_1.nii.gz")
    with pytest.raises(InputError, match="two images of case '1'"):
        find_cases(tmp_path)


def test_choose_keeps_the_order_asked_for(tmp_path: Path):
    touch(tmp_path, *(f"image_{i}.nii.gz" for i in range(4)))
    cases = find_cases(tmp_path)
    assert [case.id for case in choose(cases, ["3", "1"])] == ["3", "1"]
    with pytest.raises(InputError, match=r"no case '7'; give one of 0, 1, 2, 3"):
        choose(cases, ["1", "7"])


def write_case(folder: Path, shape: tuple[int, int, int]) -> np.ndarray:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write_volume(Volume(array, (1, 2, 3)), folder / "image_1.nii.gz")
    write_volume(Volume((array % 3).astype(np.uint8), (1, 2, 3)), folder / "label_1.nii.gz")
    return array


def test_image_and_labels_are_read(tmp_path: Path):
    array = write_case(tmp_path, (2, 3, 4))
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(case.image().array_zyx, array)
    np.testing.assert_array_equal(case.labels().array_zyx, array % 3)
    assert case.checksum() == hashlib.sha256((tmp_path / "image_1.nii.gz").read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [(257, 257), (257, 256), (256, 256)])
def test_the_257th_row_and_column_are_cut(tmp_path: Path, size: tuple[int, int]):
    array = write_case(tmp_path, (1, *size))
    (case,) = find_cases(tmp_path)
    expected = array[:, :256, :256] if size == (257, 257) else array
    np.testing.assert_array_equal(case.image().array_zyx, expected)
    np.testing.assert_array_equal(case.labels().array_zyx, expected % 3)
    assert case.image().spacing_mm == (1, 2, 3)


def test_a_missing_label_map_is_named(tmp_path: Path):
    write_case(tmp_path, (2, 3, 4))
    (tmp_path / "label_1.nii.gz").unlink()
    (case,) = find_cases(tmp_path)
    with pytest.raises(InputError, match=r"case 1 has no label map .*label_1"):
        case.labels()


def test_labels_on_another_lattice_are_refused(tmp_path: Path):
    write_case(tmp_path, (2, 3, 4))
    write_volume(Volume(np.zeros((2, 3, 5), np.uint8), (1, 2.5, 3)), tmp_path / "label_1.nii.gz")
    (case,) = find_cases(tmp_path)
    with pytest.raises(InputError, match="label_1"):
        case.labels()
