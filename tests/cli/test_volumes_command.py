import csv
import json

import numpy as np

from psmnet.io import write_volume
from psmnet.volume import Volume


def mask(path, value: int, size: int) -> None:
    labels = np.zeros((8, 20, 20), dtype=np.uint8)
    labels[2:6, 4 : 4 + size, 5:15] = value
    labels[0, 0, 0] = 9
    write_volume(Volume(labels, (1.0, 1.0, 5.0)), path)


def test_volumes_of_a_folder_go_into_a_table(cli, tmp_path):
    mask(tmp_path / "found" / "=a_seg.nii.gz", 3, 10)
    mask(tmp_path / "found" / "deeper" / "b_seg.nrrd", 3, 5)
    mask(tmp_path / "found" / "scan.nii.gz", 3, 5)
    (tmp_path / "found" / "report.json").write_text(json.dumps({"labels": {"3": "liver"}}))
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
    assert cli("volumes", tmp_path / "found", "--out", tmp_path / "table.csv").code == 2  # it is there already


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
