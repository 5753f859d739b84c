import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.raw_layouts import CHAOS_IDS, chaos_t2, middles, zipped
from psmnet.catalog import DATASETS
from psmnet.data.prepare.adapters import ADAPTERS, RawCase
from psmnet.data.prepare.adapters.chaos_t2 import labels_of_grey
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError
from psmnet.volume.geometry import reorient, signed_permutation

ADAPTER = ADAPTERS["chaos-t2"]
VALUES = DATASETS["chaos-t2"].labels.values()


def read(folder, case_id, notes=None):
    files = RawFiles.open(folder)
    (case,) = (case for case in ADAPTER.find(files) if case.id == case_id)
    with files.local([*case.images, *case.labels], folder) as local:
        return ADAPTER.read(case, local, VALUES, [] if notes is None else notes)


@pytest.fixture
def one(tmp_path):
    """Case 13 alone, to be spoilt."""
    chaos_t2(tmp_path, ["13"], size_xyz=(32, 30, 5))
    return tmp_path


def t2spir(folder):
    return folder / "Train_Sets" / "MR" / "13" / "T2SPIR"


# ---- what is found ---------------------------------------------------------------------------------------------


def test_the_tests_know_the_catalogs_cases():
    assert DATASETS["chaos-t2"].case_ids == CHAOS_IDS


@pytest.mark.parametrize("parent", ["", "Train_Sets", "Train_Sets/MR"])
def test_cases_are_found_from_any_parent_by_the_numbers_of_their_folders(raw, parent):
    cases = ADAPTER.find(RawFiles.open(raw("chaos-t2").folder / parent))
    assert [case.id for case in cases] == list(CHAOS_IDS)
    for case in cases:
        assert (len(case.images), len(case.labels)) == (5, 5)
        # Neither T1DUAL nor CT, which has a folder 1 of its own, nor what macOS leaves.
        assert all(f"{case.id}/T2SPIR/DICOM_anon/IMG-0002-" in name for name in case.images)
        assert all(f"{case.id}/T2SPIR/Ground/IMG-0002-" in name for name in case.labels)


def test_cases_are_found_in_the_zip(one, tmp_path_factory):
    archive = zipped(one, tmp_path_factory.mktemp("zip") / "CHAOS_Train_Sets.zip")
    (case,) = ADAPTER.find(RawFiles.open(archive))
    assert case.id == "13"
    assert case.images[0] == "Train_Sets/MR/13/T2SPIR/DICOM_anon/IMG-0002-00001.dcm"


def test_the_test_set_has_no_labels_and_is_left_out(raw):
    folder = raw("chaos-t2").folder
    assert (folder / "Test_Sets" / "MR" / "4").is_dir()
    assert "4" not in [case.id for case in ADAPTER.find(RawFiles.open(folder))]


def test_suffixes_in_capitals(one):
    for path in [*t2spir(one).rglob("IMG*.dcm"), *t2spir(one).rglob("IMG*.png")]:
        path.rename(path.with_suffix(path.suffix.upper()))
    image, labels = read(one, "13")
    assert len(image.array_zyx) == len(labels.array_zyx) == 5


def test_another_data_set_is_not_it(raw):
    assert ADAPTER.find(RawFiles.open(raw("sabs").folder)) == []


# ---- what is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case_id", ["1", "2", "3", "5", "8"])  # three axes reversed in turn, one oblique, one against
def test_every_voxel_and_label_lies_where_it_was_scanned(raw, case_id):
    drawn = raw("chaos-t2").drawn[case_id]
    image, labels = read(raw("chaos-t2").folder, case_id)
    axes = signed_permutation(drawn.image.direction, image.direction)
    expected, expected_labels = reorient(drawn.image, *axes), reorient(drawn.labels, *axes)
    np.testing.assert_allclose(image.affine, expected.affine, atol=1e-3)
    np.testing.assert_array_equal(image.array_zyx, expected.array_zyx)
    np.testing.assert_array_equal(labels.array_zyx, expected_labels.array_zyx)
    assert labels.array_zyx.dtype == np.uint8
    middle = middles(labels)
    assert middle[1][0] < middle[4][0]  # the liver is on the patient's right: LPS counts to the left
    assert middle[2][0] < middle[3][0]


def test_an_oblique_case_keeps_its_direction(raw):
    image, _ = read(raw("chaos-t2").folder, "5")
    assert np.degrees(np.arccos(image.direction[2, 2])) == pytest.approx(10, abs=0.01)


# ---- grey values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grey", "label"),
    [
        (0, 0),
        *((value, 1) for value in (56, 63, 70)),
        *((value, 2) for value in (111, 126, 135)),
        *((value, 3) for value in (176, 189, 200)),
        *((value, 4) for value in (241, 252, 255)),
    ],
)
def test_grey_values_are_read_by_range(grey, label):
    assert labels_of_grey(np.array([[0, grey]], np.uint8), "a.png").tolist() == [[0, label]]


@pytest.mark.parametrize("grey", [1, 55, 71, 110, 136, 175, 201, 240])
def test_other_grey_values_are_refused_with_file_and_value(grey):
    with pytest.raises(InputError, match=rf"^Ground/a\.png holds the grey value {grey}; only 0 and 56 to 70, 111"):
        labels_of_grey(np.array([[0, 63], [grey, 252]], np.uint8), "Ground/a.png")


def test_a_missing_organ_does_not_shift_the_others():
    # By rank 252 would be the second value, and so a kidney.
    assert labels_of_grey(np.array([0, 63, 252], np.uint8), "a.png").tolist() == [0, 1, 4]


def test_a_case_without_an_organ(tmp_path):
    places = {1: ((-0.4, 0, 0), (0.3, 0.4, 2)), 4: ((0.5, 0, 0), (0.2, 0.3, 2))}
    chaos_t2(tmp_path, ["13"], size_xyz=(32, 30, 5), places=places)
    _, labels = read(tmp_path, "13")
    assert np.unique(labels.array_zyx).tolist() == [0, 1, 4]


# ---- what is wrong with a case ---------------------------------------------------------------------------------


def test_a_slice_without_its_png(one):
    (t2spir(one) / "Ground" / "IMG-0002-00003.png").unlink()
    with pytest.raises(InputError, match=r"case 13: slice IMG-0002-00003 has a DICOM but no PNG; unpack"):
        read(one, "13")


def test_a_slice_without_its_dicom(one):
    (t2spir(one) / "DICOM_anon" / "IMG-0002-00003.dcm").unlink()
    with pytest.raises(InputError, match=r"case 13: slice IMG-0002-00003 has a PNG but no DICOM; unpack"):
        read(one, "13")


def test_no_dicom_at_all(one):
    shutil.rmtree(t2spir(one) / "DICOM_anon")
    with pytest.raises(InputError, match=r"13/T2SPIR/Ground/IMG-0002-00001.png has no image DICOM_anon/\*\.dcm"):
        read(one, "13")


def test_a_png_of_another_size(one):
    path = t2spir(one) / "Ground" / "IMG-0002-00003.png"
    Image.fromarray(np.zeros((30, 31), np.uint8)).save(path)
    with pytest.raises(InputError, match=r"Ground/IMG-0002-00003.png has shape \(30, 31\), its DICOM \(30, 32\)"):
        read(one, "13")


def test_labels_of_another_case(one, tmp_path_factory):
    """Their names count on from where the right ones end."""
    other = tmp_path_factory.mktemp("other")
    chaos_t2(other, ["13"], size_xyz=(32, 30, 5))
    shutil.rmtree(t2spir(one) / "Ground")
    (t2spir(one) / "Ground").mkdir()
    for number, path in enumerate(sorted((t2spir(other) / "Ground").glob("IMG*.png")), start=6):
        shutil.copy(path, t2spir(one) / "Ground" / f"IMG-0002-{number:05d}.png")
    with pytest.raises(InputError, match=r"case 13: slice IMG-0002-00001 has a DICOM but no PNG"):
        read(one, "13")


def test_an_unknown_grey_value_in_a_case(one):
    path = t2spir(one) / "Ground" / "IMG-0002-00003.png"
    grey = np.array(Image.open(path))
    grey[0, 0] = 80
    Image.fromarray(grey).save(path)
    with pytest.raises(InputError, match=r"Ground/IMG-0002-00003.png holds the grey value 80"):
        read(one, "13")


def test_a_case_that_was_found_twice_is_not_mixed(one):
    shutil.copytree(one / "Train_Sets", one / "Train_Sets (1)")
    with pytest.raises(InputError, match="same position"):
        read(one, "13")


def test_a_case_without_any_label_map():
    with pytest.raises(InputError, match=r"^a\.dcm has no label map Ground/\*\.png; unpack"):
        ADAPTER.read(RawCase("13", ("a.dcm",)), {}, VALUES, [])


def test_a_training_case_without_its_maps_fails_and_the_test_set_does_not(tmp_path):
    chaos_t2(tmp_path, ("1", "2"), size_xyz=(16, 15, 3))
    shutil.rmtree(tmp_path / "Train_Sets" / "MR" / "2" / "T2SPIR" / "Ground")
    found = {case.id: case for case in ADAPTERS["chaos-t2"].find(RawFiles.open(tmp_path))}
    assert sorted(found) == ["1", "2"]  # 4 is of the test set
    with pytest.raises(InputError, match=r"has no label map Ground/\*\.png"):
        ADAPTERS["chaos-t2"].read(found["2"], {}, [1, 2, 3, 4], [])
