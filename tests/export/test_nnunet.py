"""nnU-Net v2 as its documentation has it: imagesTr/<id>_0000, labelsTr/<id>, imagesTs, dataset.json."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from helpers.prepare_helpers import contents, run
from helpers.raw_layouts import turned
from psmnet.catalog import DATASETS
from psmnet.data.dataset_file import DATASET_NAME, DatasetFile
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.export.nnunet import export_nnunet
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.volume.volume import Volume

HEART = dict(DATASETS["cmr"].labels)  # 200, 500, 600
LATTICE = {"spacing_mm": (1.25, 1.25, 8.0), "origin_mm": (-31.5, 12.25, 40.0), "direction": turned(x=25, z=-30)}


def scan(seed: int, dtype: type = np.int16) -> Volume:
    """Square, as prepared scans are, on an oblique lattice."""
    values = np.random.default_rng(seed).integers(0, 1000, (3, 16, 16))
    return Volume(values.astype(dtype), **LATTICE)


def labels_of(values: list[int], seed: int) -> Volume:
    """A map that holds background and each of these values."""
    drawn = np.random.default_rng(seed).choice([0, *values], (3, 16, 16))
    drawn.flat[: len(values)] = values
    return Volume(drawn.astype(np.uint16), **LATTICE)


def prepared(
    folder: Path,
    *,
    dataset: str = "cmr",
    labels: dict[str, int] | None = None,
    modality: str = "mr",
    labelled: tuple[str, ...] = ("1", "2"),
    unlabelled: tuple[str, ...] = (),
) -> Path:
    """A prepared folder with its `dataset.json`."""
    labels = HEART if labels is None else labels
    for seed, case_id in enumerate((*labelled, *unlabelled)):
        write_volume(scan(seed), folder / f"image_{case_id}.nii.gz")
        if case_id in labelled:
            write_volume(labels_of(list(labels.values()), seed), folder / f"label_{case_id}.nii.gz")
    DatasetFile(dataset=dataset, version="0", modality=modality, labels=labels).write_into(folder)
    return folder


def written(out: Path) -> dict:
    return json.loads((out / DATASET_NAME).read_text(encoding="utf-8"))


def names(out: Path) -> list[str]:
    return sorted(contents(out))


def spoil(data: Path, case_id: str) -> Path:
    """Give a voxel of a case a label that has no name."""
    path = data / f"label_{case_id}.nii.gz"
    labels = read_labels(path)
    labels.array_zyx[2, 15, 15] = 77
    write_volume(labels, path)
    return path


# ---- what is written -------------------------------------------------------------------------------------------


def test_the_layout_and_its_dataset_json(tmp_path):
    data, out = prepared(tmp_path / "data", unlabelled=("3",)), tmp_path / "Dataset101_Heart"
    told = []
    assert export_nnunet(data, out, jobs=1, report=lambda *what: told.append(what)) == {}
    assert told == [(1, "1", 3), (2, "2", 3), (3, "3", 3)]
    assert names(out) == [
        "dataset.json",
        "imagesTr/1_0000.nii.gz",
        "imagesTr/2_0000.nii.gz",
        "imagesTs/3_0000.nii.gz",
        "labelsTr/1.nii.gz",
        "labelsTr/2.nii.gz",
    ]
    content = written(out)
    assert content["channel_names"] == {"0": "MRI"}
    assert content["labels"] == {"background": 0, "lv_myocardium": 1, "lv_blood_pool": 2, "right_ventricle": 3}
    assert content["label_values_before"] == {"lv_myocardium": 200, "lv_blood_pool": 500, "right_ventricle": 600}
    assert (content["numTraining"], content["file_ending"]) == (2, ".nii.gz")
    assert content["name"] == "Dataset101_Heart"
    assert content["reference"] == DATASETS["cmr"].citation
    assert content["licence"] == DATASETS["cmr"].licence


def test_voxels_and_geometry_stay_and_labels_are_renumbered(tmp_path):
    data, out = prepared(tmp_path / "data", unlabelled=("3",)), tmp_path / "out"
    export_nnunet(data, out, jobs=1)
    for case_id in ("1", "2"):
        before, after = (
            read_labels(data / f"label_{case_id}.nii.gz"),
            read_labels(out / "labelsTr" / f"{case_id}.nii.gz"),
        )
        for old, new in ((0, 0), (200, 1), (500, 2), (600, 3)):
            np.testing.assert_array_equal(after.array_zyx == new, before.array_zyx == old)
        np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)
    for case_id, folder in (("1", "imagesTr"), ("2", "imagesTr"), ("3", "imagesTs")):
        before, after = (
            read_volume(data / f"image_{case_id}.nii.gz"),
            read_volume(out / folder / f"{case_id}_0000.nii.gz"),
        )
        np.testing.assert_array_equal(after.array_zyx, before.array_zyx)
        assert after.array_zyx.dtype == before.array_zyx.dtype
        np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)


def test_values_are_numbered_in_their_order_whatever_the_file_says(tmp_path):
    data = prepared(tmp_path / "data", dataset="folder", labels={"tumour": 9, "liver": 2, "cyst": 4})
    export_nnunet(data, tmp_path / "out", jobs=1)
    content = written(tmp_path / "out")
    assert list(content["labels"].items()) == [("background", 0), ("liver", 1), ("cyst", 2), ("tumour", 3)]
    assert content["label_values_before"] == {"liver": 2, "cyst": 4, "tumour": 9}


def test_more_labels_than_a_byte_holds(tmp_path):
    labels = {f"part_{number}": number for number in range(1, 301)}
    data = prepared(tmp_path / "data", dataset="folder", labels=labels, labelled=("1",))
    every = np.resize(np.arange(301, dtype=np.uint16), (3, 16, 16))
    write_volume(Volume(every, **LATTICE), data / "label_1.nii.gz")
    assert export_nnunet(data, tmp_path / "out", jobs=1) == {}
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labelsTr" / "1.nii.gz").array_zyx, every)


@pytest.mark.parametrize(("modality", "channel"), [("mr", "MRI"), ("ct", "CT"), ("mixed", "scan"), ("", "scan")])
def test_the_channel_says_how_nnunet_shall_normalise(tmp_path, modality, channel):
    data = prepared(tmp_path / "data", dataset="folder", labels={"liver": 1}, modality=modality, labelled=("1",))
    export_nnunet(data, tmp_path / "out", jobs=1)
    assert written(tmp_path / "out")["channel_names"] == {"0": channel}


def test_prepare_folder_gives_it_back(tmp_path):
    """Images as they were, labels as nnU-Net has them, with their names; test scans are not for training."""
    data = prepared(tmp_path / "data", labelled=("1", "scan_b.2"), unlabelled=("3",))
    export_nnunet(data, tmp_path / "nnunet" / "Dataset101_Heart", jobs=1)
    result = run("folder", tmp_path / "nnunet", tmp_path / "back")
    assert (sorted(result.made), result.failed) == (["1", "scan_b.2"], {})
    assert result.notes == ["1 in imagesTs skipped; give that folder to prepare them"]
    assert result.dataset.labels == {"lv_myocardium": 1, "lv_blood_pool": 2, "right_ventricle": 3}
    assert result.dataset.modality == "mr"
    for case_id in ("1", "scan_b.2"):
        for before, after in (
            (read_volume(data / f"image_{case_id}.nii.gz"), read_volume(tmp_path / "back" / f"image_{case_id}.nii.gz")),
            (
                read_labels(tmp_path / "nnunet" / "Dataset101_Heart" / "labelsTr" / f"{case_id}.nii.gz"),
                read_labels(tmp_path / "back" / f"label_{case_id}.nii.gz"),
            ),
        ):
            np.testing.assert_array_equal(after.array_zyx, before.array_zyx)
            np.testing.assert_allclose(after.affine, before.affine, atol=1e-4)


def test_two_processes_write_the_same(tmp_path):
    data = prepared(tmp_path / "data", unlabelled=("3",))
    for jobs in (1, 2):
        export_nnunet(data, tmp_path / str(jobs) / "out", jobs=jobs)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_folder_without_dataset_json_needs_the_data_sets_name(tmp_path):
    data, out = prepared(tmp_path / "data"), tmp_path / "out"
    # Another program's says nothing of ours.
    (data / DATASET_NAME).write_text(json.dumps({"labels": {"background": 0, "heart": 1}}))
    with pytest.raises(ConfigError, match=r"has no dataset\.json of psmnet; name the data set"):
        export_nnunet(data, out, jobs=1)
    (data / DATASET_NAME).unlink()
    with pytest.raises(ConfigError, match=r"has no dataset\.json of psmnet; name the data set"):
        export_nnunet(data, out, jobs=1)
    assert not out.exists()
    assert export_nnunet(data, out, "cmr", jobs=1) == {}
    assert written(out)["labels"] == {"background": 0, "lv_myocardium": 1, "lv_blood_pool": 2, "right_ventricle": 3}
    assert written(out)["channel_names"] == {"0": "MRI"}


# ---- single cases that can't be used ---------------------------------------------------------------------------


def test_a_label_without_a_name_fails_its_case_alone(tmp_path):
    data, out = prepared(tmp_path / "data", labelled=("1", "2", "4"), unlabelled=("3",)), tmp_path / "out"
    path = spoil(data, "2")
    failed = export_nnunet(data, out, jobs=1)
    assert {case_id: str(error) for case_id, error in failed.items()} == {
        "2": "label_2.nii.gz holds label 77, which has no name; prepare the data again"
    }
    assert names(out) == [
        "dataset.json",
        "imagesTr/1_0000.nii.gz",
        "imagesTr/4_0000.nii.gz",
        "imagesTs/3_0000.nii.gz",
        "labelsTr/1.nii.gz",
        "labelsTr/4.nii.gz",
    ]
    assert written(out)["numTraining"] == 2
    write_volume(labels_of(list(HEART.values()), 2), path)
    assert export_nnunet(data, out, jobs=1) == {}
    assert written(out)["numTraining"] == 3
    assert (out / "labelsTr" / "2.nii.gz").exists()


def test_an_unlabelled_scan_that_fails_is_not_counted_either(tmp_path):
    data, out = prepared(tmp_path / "data", unlabelled=("3",)), tmp_path / "out"
    (data / "image_3.nii.gz").write_bytes(b"nothing")
    assert list(export_nnunet(data, out, jobs=1)) == ["3"]
    assert written(out)["numTraining"] == 2
    assert not (out / "imagesTs").exists()


def test_an_earlier_export_leaves_nothing_that_is_untrue_now(tmp_path):
    """Case 1 loses its labels, case 2 has become unusable, case 3 has got labels."""
    data, out = prepared(tmp_path / "data", unlabelled=("3",)), tmp_path / "out"
    export_nnunet(data, out, jobs=1)
    (data / "label_1.nii.gz").unlink()
    spoil(data, "2")
    write_volume(labels_of(list(HEART.values()), 3), data / "label_3.nii.gz")
    assert list(export_nnunet(data, out, jobs=1)) == ["2"]
    assert names(out) == ["dataset.json", "imagesTr/3_0000.nii.gz", "imagesTs/1_0000.nii.gz", "labelsTr/3.nii.gz"]
    assert written(out)["numTraining"] == 1


# ---- refusals --------------------------------------------------------------------------------------------------


def test_the_prepared_folder_itself_is_refused_by_any_name(tmp_path, monkeypatch):
    data = prepared(tmp_path / "data")
    (tmp_path / "other").symlink_to(data)
    before = contents(data)
    monkeypatch.chdir(tmp_path)
    for out in (data, Path("data"), tmp_path / "other", tmp_path / "data" / ".." / "data"):
        with pytest.raises(ConfigError, match="is the prepared folder itself; choose another folder"):
            export_nnunet(data, out, jobs=1)
    assert contents(data) == before


@pytest.mark.parametrize(
    ("folder", "dataset", "kind", "message"),
    [
        ("lost", None, InputError, "no folder .*lost"),
        ("empty", "cmr", InputError, r"no image_<id>\.nii\.gz in .*empty"),
        ("data", "atlantis", ConfigError, "unknown data set 'atlantis'"),
        (
            "nameless",
            None,
            InputError,
            "no names for the labels of .*nameless; label a case, and run psmnet prepare folder",
        ),
    ],
)
def test_what_can_not_be_exported(tmp_path, folder, dataset, kind, message):
    prepared(tmp_path / "data")
    prepared(tmp_path / "nameless", dataset="folder", labels={})
    (tmp_path / "empty").mkdir()
    with pytest.raises(kind, match=message):
        export_nnunet(tmp_path / folder, tmp_path / "out", dataset, jobs=1)
    assert not (tmp_path / "out").exists()


# ---- the command -----------------------------------------------------------------------------------------------


def test_psmnet_export(cli, tmp_path):
    data, out = prepared(tmp_path / "data"), tmp_path / "Dataset101_Heart"
    outcome = cli("export", data, out, "--jobs", "1")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"nnU-Net data set: {out}\n", "")
    assert len(names(out)) == 5  # no lock is left
    spoil(data, "1")
    outcome = cli("export", data, out, "--dataset", "cmr", "--jobs", "1")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "failed: case 1: label_1.nii.gz holds label 77, which has no name; prepare the data again",
        "psmnet: 1 case failed: 1; fix or remove these files and run the command again",
    ]
    assert names(out) == ["dataset.json", "imagesTr/2_0000.nii.gz", "labelsTr/2.nii.gz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "data"), "data is the prepared folder itself; choose another folder"),
        (("lost", "out"), "no folder lost"),
        (("data", "out", "--dataset", "atlantis"), "unknown data set 'atlantis'"),
        (("data", "file"), "file is a file; give a folder"),
        (("data",), "Missing argument 'DATASETNNN_NAME'"),
        (("data", "out", "--jobs", "0"), "0 is not in the range"),
    ],
)
def test_refusals_of_the_command(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    prepared(Path("data"))
    Path("file").write_text("mine")
    before = contents(tmp_path)
    outcome = cli("export", *arguments)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert message in line
    assert contents(tmp_path) == before
    assert not os.path.lexists("out")


def test_two_data_sets_are_not_mixed(tmp_path):
    out = tmp_path / "Dataset101_Heart"
    export_nnunet(prepared(tmp_path / "data", labelled=("1",)), out)
    before = (out / "dataset.json").read_bytes()
    write_volume(
        draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 12))[0], tmp_path / "other" / "image_9.nii.gz"
    )
    with pytest.raises(ConfigError, match=r"holds another data set .*; choose another folder"):
        export_nnunet(tmp_path / "other", out, "phantom")
    assert (out / "dataset.json").read_bytes() == before
    assert not list(out.rglob("9_0000*"))
