import csv
import json

import numpy as np
import SimpleITK as sitk

from psmnet.io import read_volume, write_volume
from psmnet.volume import as_image
from psmnet.volume.volume import Volume


def mask(path, value: int, size: int) -> None:
    labels = np.zeros((8, 20, 20), dtype=np.uint8)
    labels[2:6, 4 : 4 + size, 5:15] = value
    labels[0, 0, 0] = 9
    write_volume(Volume(labels, (1.0, 1.0, 5.0)), path)


def table(cli, folder, *masks) -> list[dict[str, str]]:
    assert cli("volumes", *masks, "--out", folder / "table.csv", "--overwrite").code == 0
    return list(csv.DictReader((folder / "table.csv").read_text().splitlines()))


def test_volumes_of_a_folder_go_into_a_table(cli, tmp_path):
    mask(tmp_path / "found" / "=a_seg.nii.gz", 3, 10)
    mask(tmp_path / "found" / "deeper" / "b_seg.nrrd", 3, 5)
    mask(tmp_path / "found" / "scan.nii.gz", 3, 5)
    (tmp_path / "found" / "report.json").write_text(
        json.dumps({"schema": "psmnet-segment-2", "labels": {"3": "liver"}})
    )
    outcome = cli("volumes", tmp_path / "found", "--out", tmp_path / "table.csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["mask"], row["organ"], float(row["volume_ml"])) for row in rows] == [
        ("'=a_seg.nii.gz", "liver", 2.0),  # 4 slices of 10 x 10 x 5 mm
        ("'=a_seg.nii.gz", "label_9", 0.005),
        ("b_seg.nrrd", "label_3", 1.0),
        ("b_seg.nrrd", "label_9", 0.005),
    ]
    assert (rows[0]["extent_x_mm"], rows[0]["extent_y_mm"], rows[0]["extent_z_mm"]) == ("10.0", "10.0", "20.0")
    assert "liver" in outcome.out
    assert cli("volumes", tmp_path / "found", "--out", tmp_path / "table.csv").code == 2  # it already exists


def test_names_may_be_given(cli, tmp_path):
    mask(tmp_path / "m.nii.gz", 3, 10)
    (tmp_path / "names.csv").write_text("3,spleen\n")
    assert "spleen" in cli("volumes", tmp_path / "m.nii.gz", "--names", tmp_path / "names.csv").out


def test_a_mask_that_can_not_be_read_is_named_and_the_rest_goes_on(cli, tmp_path):
    mask(tmp_path / "a_seg.nii.gz", 3, 10)
    (tmp_path / "b_seg.nii.gz").write_bytes(b"")
    outcome = cli("volumes", tmp_path, "--out", tmp_path / "table.csv")
    assert outcome.code == 2
    assert "b_seg.nii.gz" in outcome.err
    assert "a_seg.nii.gz" in (tmp_path / "table.csv").read_text()


def test_a_folder_without_masks(cli, tmp_path):
    outcome = cli("volumes", tmp_path)
    assert outcome.code == 2
    assert "no mask in" in outcome.err


def test_a_folder_of_one_mask_an_organ(cli, tmp_path):
    mask(tmp_path / "liver.nii.gz", 255, 10)
    outcome = cli("volumes", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "label_9" in outcome.out  # two values: the file's name is not theirs
    labels = read_volume(tmp_path / "liver.nii.gz")
    write_volume(labels.with_array((labels.array_zyx == 255) * np.uint8(255)), tmp_path / "spleen.nii.gz")
    assert [row["organ"] for row in table(cli, tmp_path, tmp_path)][-1] == "spleen"


def test_segmentations_have_their_own_names(cli, tmp_path):
    mask(tmp_path / "m.nii.gz", 1, 10)
    image = as_image(read_volume(tmp_path / "m.nii.gz"))
    for key, value in {"ID": "a", "Name": "liver", "LabelValue": "1", "Layer": "0"}.items():
        image.SetMetaData(f"Segment0_{key}", value)
    sitk.WriteImage(image, str(tmp_path / "m.seg.nrrd"))
    assert [row["organ"] for row in table(cli, tmp_path, tmp_path / "m.seg.nrrd")] == ["liver"]


def test_an_image_is_no_mask(cli, tmp_path):
    noise = np.random.default_rng(0).integers(0, 2000, (8, 20, 20), dtype=np.int16)
    write_volume(Volume(noise, (1.0, 1.0, 5.0)), tmp_path / "scan.nii.gz")
    outcome = cli("volumes", tmp_path / "scan.nii.gz", "--out", tmp_path / "table.csv")
    assert outcome.code == 2
    assert "looks like an image" in outcome.err
    assert outcome.out == ""
    assert not (tmp_path / "table.csv").exists()
