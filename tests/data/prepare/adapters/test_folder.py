import json
import shutil

import numpy as np
import pytest

from helpers.raw_layouts import abdomens, msd, nnunet, plain, zipped
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.data.prepare.adapters.folder import label_names
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError

ADAPTER = ADAPTERS["folder"]
CASES = abdomens(["anna", "ben"], size_xyz=(6, 5, 3))


def found(folder):
    """Case id to names of image and label map."""
    return {case.id: (*case.images, *case.labels) for case in ADAPTER.find(RawFiles.open(folder))}


def empty(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# ---- layouts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", ["", "Dataset007_Abdomen"])
def test_nnunet(tmp_path, parent):
    nnunet(tmp_path, CASES, unlabelled=["ben"])
    cases = found(tmp_path / parent)
    start = "" if parent else "Dataset007_Abdomen/"
    assert cases == {  # no scan of imagesTs
        "anna": (f"{start}imagesTr/anna_0000.nii.gz", f"{start}labelsTr/anna.nii.gz"),
        "ben": (f"{start}imagesTr/ben_0000.nii.gz",),
    }
    assert label_names(RawFiles.open(tmp_path / parent)) == {
        "liver": 1,
        "right_kidney": 2,  # with one word for --labels
        "left_kidney": 3,
        "spleen": 4,  # and neither the background nor a region of several labels
    }


def test_msd(tmp_path):
    msd(tmp_path, CASES)
    assert found(tmp_path)["ben"] == (
        "Task09_Abdomen/imagesTr/ben.nii.gz",
        "Task09_Abdomen/labelsTr/ben.nii.gz",
    )
    assert list(found(tmp_path)) == ["anna", "ben"]
    assert label_names(RawFiles.open(tmp_path)) == {"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4}


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/{}.nii.gz", "labels/{}.nii.gz"),
        ("images/{}.nii", "masks/{}_mask.nii.gz"),
        ("{}.nii.gz", "{}_label.nii.gz"),
        ("{}.nii.gz", "{}_labels.nii"),
        ("{}.nii.gz", "{}_seg.nii.gz"),
        ("{}.nii.gz", "{}-Segmentation.nii.gz"),
        ("image_{}.nii.gz", "label_{}.nii.gz"),
        ("{}/image.nii.gz", "{}/label.nii.gz"),
        ("{}/image.nii.gz", "{}/segmentation.nii.gz"),
        ("{}/image.nii.gz", "{}/image_seg.nii.gz"),
        ("{}/image.nii.gz", "{}/Mask.nii.gz"),
    ],
)
def test_plain_folders(tmp_path, image, labels):
    plain(tmp_path, CASES, image, labels)
    assert found(tmp_path) == {name: (image.format(name), labels.format(name)) for name in CASES}
    assert label_names(RawFiles.open(tmp_path)) == {}


def test_scans_of_patients_with_the_same_names_are_told_apart_by_their_folders(tmp_path):
    plain(tmp_path, CASES, "{}/t2.nii.gz", "{}/t2_seg.nii.gz")
    assert found(tmp_path) == {f"{name}_t2": (f"{name}/t2.nii.gz", f"{name}/t2_seg.nii.gz") for name in ("anna", "ben")}


def test_a_single_scan_without_a_name(tmp_path):
    empty(tmp_path, "image.nii.gz", "label.nii.gz")
    assert found(tmp_path) == {"scan": ("image.nii.gz", "label.nii.gz")}


def test_labels_may_be_missing(tmp_path):
    plain(tmp_path, CASES, "{}.nii.gz", None)
    assert found(tmp_path) == {"anna": ("anna.nii.gz",), "ben": ("ben.nii.gz",)}


def test_cases_are_found_in_a_zip(tmp_path, tmp_path_factory):
    nnunet(tmp_path, CASES)
    archive = zipped(tmp_path, tmp_path_factory.mktemp("zip") / "mine.zip")
    assert found(archive) == found(tmp_path)
    assert label_names(RawFiles.open(archive)) == label_names(RawFiles.open(tmp_path))


def test_pseudo_labels_and_other_files_are_passed_over(tmp_path):
    empty(tmp_path, "image_1.nii.gz", "superpix-MIDDLE_1.nii.gz", "supervox-MIDDLE_1.nii.gz", "notes.txt", "._a.nii")
    assert found(tmp_path) == {"1": ("image_1.nii.gz",)}


# ---- what can't be ---------------------------------------------------------------------------------------------


def test_several_channels_are_refused(tmp_path):
    empty(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz")
    with pytest.raises(InputError, match=r"imagesTr/a_0001.nii.gz is a channel beside _0000; give scans of one"):
        found(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("a.nii", "a.nii.gz"),
        ("images/a.nii.gz", "a.nii.gz"),
        ("image_a.nii.gz", "a.nii.gz"),
        ("a_seg.nii.gz", "a_label.nii.gz"),
    ],
)
def test_two_files_of_one_case(tmp_path, names):
    empty(tmp_path, *names)
    with pytest.raises(InputError, match="are of one case; give the folder of one"):
        found(tmp_path)


def test_two_cases_of_one_id(tmp_path):
    empty(tmp_path, "a/b_c.nii", "a_b/c.nii", "b_c.nii", "c.nii")  # with their folders both are a_b_c
    with pytest.raises(InputError, match=r"of one case \(a_b_c\)"):
        found(tmp_path)


def test_a_label_map_without_a_scan_is_listed_and_refused(tmp_path):
    empty(tmp_path, "images/a.nii.gz", "labels/a.nii.gz", "labels/b.nii.gz")
    cases = ADAPTER.find(RawFiles.open(tmp_path))
    assert [case.id for case in cases] == ["a", "b"]
    with pytest.raises(InputError, match=r"^labels/b.nii.gz has no image of its name"):
        ADAPTER.read(cases[1], {}, [], [])


def test_a_damaged_dataset_json(tmp_path):
    root = nnunet(tmp_path, CASES)
    (root / "dataset.json").write_text('{"labels": {"liver": 1')
    with pytest.raises(InputError, match=r"^Dataset007_Abdomen/dataset.json is not JSON"):
        label_names(RawFiles.open(tmp_path))


@pytest.mark.parametrize("content", [[], {}, {"labels": None}, {"labels": ["liver"]}, {"labels": {"a": -1, "b": 1.5}}])
def test_a_dataset_json_without_labels(tmp_path, content):
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert label_names(RawFiles.open(tmp_path)) == {}


# ---- reading ---------------------------------------------------------------------------------------------------


def test_scan_and_labels_as_stored(tmp_path):
    plain(tmp_path, CASES, "{}.nii.gz", "{}_seg.nii.gz")
    shutil.copy(tmp_path / "ben.nii.gz", tmp_path / "carl.nii.gz")
    files = RawFiles.open(tmp_path)
    for case in ADAPTER.find(files):
        with files.local([*case.images, *case.labels], tmp_path) as local:
            image, labels = ADAPTER.read(case, local, [], [])
        drawn = CASES[case.id if case.id in CASES else "ben"]
        np.testing.assert_array_equal(image.array_zyx, drawn.image.array_zyx)
        if case.id == "carl":
            assert labels is None
        else:
            np.testing.assert_array_equal(labels.array_zyx, drawn.labels.array_zyx)
