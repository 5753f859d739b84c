"""Anybody's scans, by prepare folder."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from helpers.places import CHAOS
from helpers.prepare_helpers import image, labels, run, times
from helpers.raw_layouts import abdomens, middles, msd, nnunet, plain
from psmnet.data.dataset_file import read_dataset_file
from psmnet.data.store import find_cases
from psmnet.errors import InputError
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.volume.geometry import axis_letters
from psmnet.volume.volume import Volume


@pytest.mark.parametrize("layout", ["nnunet", "msd", "images and labels", "endings", "a folder each"])
def test_layouts_of_anybodys_scans(tmp_path, layout):
    cases = abdomens(["anna", "ben"])
    names = {
        "images and labels": ("images/{}.nii.gz", "labels/{}.nii"),
        "endings": ("{}.nii.gz", "{}_label.nii.gz"),
        "a folder each": ("{}/image.nii.gz", "{}/label.nii.gz"),
    }
    if layout in names:
        plain(tmp_path / "raw", cases, *names[layout])
    else:
        {"nnunet": nnunet, "msd": msd}[layout](tmp_path / "raw", cases)
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    assert result.made == ["anna", "ben"]
    passed_over = ["1 in imagesTs skipped; give that folder to prepare them"] if layout == "nnunet" else []
    assert (result.failed, result.notes) == ({}, passed_over)
    dataset = read_dataset_file(tmp_path / "out")
    assert (dataset.dataset, dataset.modality) == ("folder", "mr")
    named = {"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4}
    assert dataset.labels == ({f"label_{v}": v for v in range(1, 5)} if layout in names else named)
    assert dataset.constants["spacing_mm"] == [10, 10, 12]
    assert dataset.constants["size_px"] == 20
    for name, drawn in cases.items():  # 20 columns and 18 rows: nothing but a row on each side is added
        np.testing.assert_array_equal(image(tmp_path / "out", name).array_zyx[:, 1:-1], drawn.image.array_zyx)
        np.testing.assert_array_equal(labels(tmp_path / "out", name).array_zyx[:, 1:-1], drawn.labels.array_zyx)
        assert image(tmp_path / "out", name).array_zyx.dtype == np.int16
        before, after = middles(drawn.labels), middles(labels(tmp_path / "out", name))
        assert all(np.allclose(before[value], after[value], atol=1e-3) for value in before)


def test_labels_are_optional(tmp_path):
    nnunet(tmp_path / "raw", abdomens(["anna", "ben"]), unlabelled=["ben"])
    dataset = run("folder", tmp_path / "raw", tmp_path / "out").dataset
    assert (tmp_path / "out" / "label_anna.nii.gz").exists()
    assert not (tmp_path / "out" / "label_ben.nii.gz").exists()
    assert (dataset.cases["ben"].label_sha256, dataset.cases["ben"].voxels) == (None, {})
    assert run("folder", tmp_path / "raw", tmp_path / "out").kept == ["anna", "ben"]
    # A label map that comes later, or goes.
    drawn = abdomens(["anna", "ben"])
    path = tmp_path / "raw" / "Dataset007_Abdomen" / "labelsTr" / "ben.nii.gz"
    write_volume(drawn["ben"].labels, path)
    assert run("folder", tmp_path / "raw", tmp_path / "out").made == ["ben"]
    assert (tmp_path / "out" / "label_ben.nii.gz").exists()
    path.unlink()
    assert run("folder", tmp_path / "raw", tmp_path / "out").made == ["ben"]
    assert not (tmp_path / "out" / "label_ben.nii.gz").exists()


def test_mixed_orientations_are_laid_along_the_first(tmp_path):
    directions = {
        "a": np.diag([-1.0, -1.0, 1.0]),
        "b": np.eye(3),
        "c": np.diag([1.0, -1.0, -1.0]),
        "d": np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    }
    cases = {name: abdomens([name], direction=direction)[name] for name, direction in directions.items()}
    plain(tmp_path / "raw", cases, "{}.nii.gz", "{}_label.nii.gz")
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    for name, drawn in cases.items():
        found = labels(tmp_path / "out", name)
        np.testing.assert_allclose(found.direction, directions["a"], atol=1e-6)
        np.testing.assert_allclose(image(tmp_path / "out", name).affine, found.affine, atol=1e-6)
        before, after = middles(drawn.labels), middles(found)
        assert all(np.allclose(before[value], after[value], atol=1e-3) for value in before)
        assert result.dataset.cases[name].raw_axes == axis_letters(directions[name])
        assert result.dataset.cases[name].axes == "RAS"


def test_spacing_is_the_median_and_the_largest_fits(tmp_path):
    spacings = {"a": (8.0, 8.0, 10.0), "b": (10.0, 10.0, 12.0), "c": (14.0, 14.0, 20.0)}
    cases = {name: abdomens([name], spacing_mm=spacing)[name] for name, spacing in spacings.items()}
    plain(tmp_path / "raw", cases, "{}.nii.gz", "{}_label.nii.gz")
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    assert result.dataset.constants["spacing_mm"] == [10, 10, 12]
    assert result.dataset.constants["size_px"] == 28  # c: 20 columns of 14 mm
    for name, drawn in cases.items():
        found = labels(tmp_path / "out", name)
        assert found.size_xyz == (28, 28, round(5 * spacings[name][2] / 12))
        before, after = middles(drawn.labels), middles(found)
        assert all((np.abs(before[value] - after[value]) < (10, 10, 12)).all() for value in before)


def test_spacing_and_size_as_asked_for(tmp_path):
    plain(tmp_path / "raw", abdomens(["a", "b"]), "{}.nii.gz", "{}_label.nii.gz")
    options = {"spacing_mm": (5.0, 5.0, None), "size_px": 30}
    run("folder", tmp_path / "raw", tmp_path / "out", **options)
    found = image(tmp_path / "out", "a")
    assert found.size_xyz == (30, 30, 5)
    assert found.spacing_mm == (5, 5, 12)
    assert run("folder", tmp_path / "raw", tmp_path / "out", **options).kept == ["a", "b"]
    assert run("folder", tmp_path / "raw", tmp_path / "out").kept == ["a", "b"]


def test_scans_that_come_later_get_the_same_constants(tmp_path):
    plain(tmp_path / "raw", abdomens(["b", "c"]), "{}.nii.gz", "{}_label.nii.gz")
    first = run("folder", tmp_path / "raw", tmp_path / "out", spacing_mm=(10, 10, None))
    before = times(tmp_path / "out")
    # It comes before the others, has other axes, and is larger.
    later = abdomens(["a"], size_xyz=(26, 22, 5), direction=np.diag([-1.0, 1.0, 1.0]))
    plain(tmp_path / "raw", later, "{}.nii.gz", "{}_label.nii.gz")
    second = run("folder", tmp_path / "raw", tmp_path / "out", spacing_mm=(10, 10, None))
    assert (second.made, second.kept) == (["a"], ["b", "c"])
    assert second.dataset.constants == first.dataset.constants
    assert list(second.dataset.cases) == ["a", "b", "c"]
    found = image(tmp_path / "out", "a")
    assert found.size_xyz == (20, 20, 5)
    assert axis_letters(found.direction) == "LPS"
    assert {name: time for name, time in times(tmp_path / "out").items() if "_a." not in name} == before
    assert second.notes == [
        "case a: slices of 260 x 220 mm were cut to 200 x 200 mm, the size of the first scans; to keep them whole, "
        "prepare all scans into another folder"
    ]


def test_ct_is_told_by_its_lowest_value(tmp_path):
    plain(tmp_path / "raw", abdomens(["ct"], hounsfield=True), "{}.nii.gz", None)
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    assert result.dataset.modality == "ct"
    assert result.dataset.cases["ct"].modality == "ct"
    found, stored = image(tmp_path / "out", "ct").array_zyx, abdomens(["ct"], hounsfield=True)["ct"].image.array_zyx
    expected = (np.clip(stored.astype(float), -125, 275) + 125) * 255 / 400
    np.testing.assert_allclose(found[:, 1:-1], expected, rtol=1e-6)


@pytest.mark.parametrize(("lowest", "modality"), [(-499, "mr"), (-500, "ct"), (-501, "ct")])
def test_the_border_between_ct_and_mr(tmp_path, lowest, modality):
    scan = Volume(np.zeros((3, 8, 8), np.int16), (1, 1, 5))
    scan.array_zyx[0, 0, 0] = lowest
    write_volume(scan, tmp_path / "raw" / "a.nii.gz")
    assert run("folder", tmp_path / "raw", tmp_path / "out").dataset.modality == modality


def test_ct_and_mr_together_are_noted_and_the_user_decides(tmp_path):
    plain(tmp_path / "raw", abdomens(["a"]) | abdomens(["b"], hounsfield=True), "{}.nii.gz", None)
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    assert result.dataset.modality == "mixed"
    assert result.notes == ["some scans were read as CT, others as MR; set the modality (ct or mr) if that is wrong"]
    again = run("folder", tmp_path / "raw", tmp_path / "out", modality="ct")
    assert (again.made, again.kept, again.notes) == (["a"], ["b"], [])
    assert read_dataset_file(tmp_path / "out").modality == "ct"
    assert image(tmp_path / "out", "a").array_zyx.max() == 255
    run("folder", tmp_path / "raw", tmp_path / "other", modality="mr")
    assert image(tmp_path / "other", "b").array_zyx.min() == -1000


def test_several_channels_are_refused(tmp_path):
    root = nnunet(tmp_path / "raw", abdomens(["a"]))
    shutil.copy(root / "imagesTr" / "a_0000.nii.gz", root / "imagesTr" / "a_0001.nii.gz")
    with pytest.raises(InputError, match=r"a_0001.nii.gz is a channel beside _0000; give scans of one channel"):
        run("folder", tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_without_a_name_are_called_by_their_value(tmp_path):
    cases = abdomens(["a"])
    values = cases["a"].labels.array_zyx
    more = cases["a"].labels.with_array(np.where(values == 4, 17, values).astype(np.uint8))
    nnunet(tmp_path / "raw", {"a": dataclasses.replace(cases["a"], labels=more)})
    dataset = run("folder", tmp_path / "raw", tmp_path / "out").dataset
    assert dataset.labels == {"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4, "label_17": 17}
    assert set(dataset.cases["a"].voxels) == {1, 2, 3, 17}


def test_labels_stand_in_one_order_whichever_case_has_them(tmp_path):
    cases = abdomens(["a", "b"])
    for name, value in (("a", 17), ("b", 2)):
        marked = cases[name].labels.with_array(np.where(cases[name].labels.array_zyx > 0, value, 0).astype(np.uint8))
        cases[name] = dataclasses.replace(cases[name], labels=marked)
    plain(tmp_path / "raw", cases, "{}.nii.gz", "{}_label.nii.gz")
    run("folder", tmp_path / "raw", tmp_path / "out")
    assert list(read_dataset_file(tmp_path / "out").labels.items()) == [("label_2", 2), ("label_17", 17)]


@pytest.mark.real_data
@pytest.mark.skipif(not CHAOS.is_dir(), reason="needs the CHAOS-T2 scans in ../shared/data/chaos_t2")
def test_real_scans_that_are_prepared_already_stay_as_they_are(tmp_path):
    (tmp_path / "raw").mkdir()
    for case_id in ("8", "21"):
        for kind in ("image", "label"):
            name = f"{kind}_{case_id}.nii.gz"
            (tmp_path / "raw" / name).symlink_to(CHAOS / name)
    result = run("folder", tmp_path / "raw", tmp_path / "out")
    assert (sorted(result.made), result.failed) == (["21", "8"], {})
    for case in find_cases(tmp_path / "raw"):
        for stored, found in (
            (read_volume(case.image_path), image(tmp_path / "out", case.id)),
            (read_labels(case.label_path), labels(tmp_path / "out", case.id)),
        ):
            np.testing.assert_array_equal(found.array_zyx, stored.array_zyx)
            np.testing.assert_allclose(found.affine, stored.affine, atol=1e-4)
    assert result.dataset.constants["size_px"] == 256


def test_a_label_without_a_name_is_said(tmp_path):
    root = nnunet(tmp_path / "raw", abdomens(["a"]))
    content = json.loads((root / "dataset.json").read_text())
    del content["labels"]["spleen"]
    (root / "dataset.json").write_text(json.dumps(content))
    assert "case a: label 4 has no name" in run("folder", root, tmp_path / "out").notes


def test_a_spacing_that_is_far_too_fine_is_refused_before_memory_is_taken(tmp_path):
    plain(tmp_path / "raw", abdomens(["a"]), "{}.nii.gz", None)
    with pytest.raises(InputError, match=r"would become \(20000, 18000, 5\) at .*; choose a spacing"):
        run("folder", tmp_path / "raw", tmp_path / "out", spacing_mm=(0.01, 0.01, None))


def test_control_characters_in_names_are_refused(tmp_path):
    plain(tmp_path / "raw", abdomens(["new\nline"]), "{}.nii.gz", None)
    with pytest.raises(InputError, match="holds a control character; rename the file"):
        run("folder", tmp_path / "raw", tmp_path / "out")
