"""Figures against a reference: organs are matched by name, whatever their values."""

import zipfile

import numpy as np
import pytest

from helpers.serving import finished, upload, upload_labels
from psmnet.io import read_labels, write_volume
from psmnet.viewer.runner import compared
from psmnet.viewer.task import LabelledPaths
from psmnet.volume.volume import Volume


def written(path, array):
    write_volume(Volume(array.astype(np.uint8), (1.0, 1.0, 2.0)), path)
    return path


@pytest.fixture
def mask(tmp_path):
    """Liver 1, spleen 2, kidney 3."""
    array = np.zeros((6, 20, 20))
    array[1:5, 2:10, 2:10] = 1
    array[1:5, 12:18, 2:10] = 2
    array[1:5, 12:18, 12:18] = 3
    return written(tmp_path / "mask.nii.gz", array)


def test_organs_are_measured_by_their_names(mask, tmp_path):
    """The reference has the liver as 2, half as large, and the spleen, the same, as 7; its 1 is something else."""
    truth = read_labels(mask).array_zyx
    array = np.zeros(truth.shape)
    array[truth == 1] = 2
    array[1:3] = 0
    array[truth == 2] = 7
    array[truth == 3] = 1
    file = written(tmp_path / "reference.nii.gz", array)
    reference = LabelledPaths(mask, file, {1: "Gallbladder", 2: "LIVER", 7: "spleen"})
    metrics, notes = compared(mask, reference, {"liver": 1, "spleen": 2, "right kidney": 3})
    assert metrics.keys() == {1, 2}
    assert metrics[1]["dice"] == pytest.approx(2 * 0.5 / 1.5)  # half of it is in the reference
    assert metrics[2]["dice"] == 1.0
    assert notes == ["not measured, because the reference has no organ of this name: right kidney"]


def test_a_reference_without_a_common_name_gives_no_figure(mask):
    """Its values are the mask's own, which says nothing."""
    metrics, notes = compared(mask, LabelledPaths(mask, mask, {1: "label_1", 2: "label_2"}), {"liver": 1, "spleen": 2})
    assert metrics == {}
    assert notes == ["not measured, because the reference has no organ of this name: liver, spleen"]


def test_the_page_measures_a_reference_with_other_values(room, phantoms, tmp_path):
    """Labels of named masks get their values in the order of the names: the liver is 1 in one, 2 in the other."""

    def masks(number, names):
        labels = read_labels(phantoms / f"label_{number}.nii.gz")
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as out:
            for name, value in names.items():
                write_volume(labels.with_array((labels.array_zyx == value).astype(np.uint8)), tmp_path / "one.nii.gz")
                out.write(tmp_path / "one.nii.gz", f"{name}.nii.gz")
        return tmp_path / f"{number}.zip"

    support, query = (upload(room.client, phantoms / f"image_{number}.nii.gz") for number in (1, 2))
    learnt = upload_labels(room.client, support["id"], masks(1, {"liver": 1, "spleen": 4}))
    reference = upload_labels(room.client, query["id"], masks(2, {"aorta": 2, "liver": 1}))
    assert [(organ["value"], organ["name"]) for organ in reference["organs"]] == [(1, "aorta"), (2, "liver")]
    body = {"supports": [learnt["id"]], "query": query["id"], "reference": reference["id"]}
    job = finished(room.client, room.client.post("/jobs", json=body).json()["id"])
    (tmp_path / "mask.nii.gz").write_bytes(room.client.get(f"/jobs/{job['id']}/files/mask.nii.gz").content)
    found, truth = read_labels(tmp_path / "mask.nii.gz").array_zyx, read_labels(phantoms / "label_2.nii.gz").array_zyx
    liver, spleen = job["result"]["organs"]
    both = ((found == liver["value"]) & (truth == 1)).sum()
    expected = 2 * both / ((found == liver["value"]).sum() + (truth == 1).sum())
    assert liver["metrics"]["dice"] == pytest.approx(expected)
    assert spleen["metrics"] is None
    assert job["result"]["notes"][-1] == "not measured, because the reference has no organ of this name: spleen"
