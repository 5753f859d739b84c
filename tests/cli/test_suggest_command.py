import csv

import numpy as np
import pytest

from helpers.commands import only_line
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume


@pytest.fixture
def folder(tmp_path):
    """Four patients, one's slices in disorder, and a file that is no scan."""
    for seed in range(4):
        scan, labels = draw_patient(seed, shape_zyx=(14, 64, 64), spacing_mm=(5.0, 5.0, 14.0))
        if seed == 2:
            scan = scan.with_array(scan.array_zyx[np.random.default_rng(0).permutation(14)])
        write_volume(scan, tmp_path / "scans" / f"patient{seed}.nii.gz")
        write_volume(labels, tmp_path / "scans" / f"patient{seed}_seg.nii.gz")
    return tmp_path / "scans"


def test_scans_are_ranked_with_those_to_label_first(cli, folder, tmp_path):
    outcome = cli("suggest", folder, "-k", 2, "--out", tmp_path / "table.csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["choice"] for row in rows] == ["1", "2", "", ""]
    assert {row["scan"] for row in rows} == {f"patient{seed}" for seed in range(4)}
    agreement = {row["scan"]: float(row["agreement"]) for row in rows}
    assert min(agreement, key=agreement.__getitem__) == "patient2"
    assert rows[0]["scan"] != "patient2"
    assert f"label: {folder / rows[0]['scan']}.nii.gz" in outcome.out
    assert "skipped patient0_seg.nii.gz: a segmentation" in outcome.out
    again = cli("suggest", folder, "--out", tmp_path / "table.csv")
    assert again.code == 2
    assert "--overwrite" in again.err


def test_a_damaged_scan_is_left_out_and_reported(cli, folder):
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    outcome = cli("suggest", folder)
    assert outcome.code == 2
    assert "1 scan failed: broken; fix or remove them" in outcome.err
    assert "label: " in outcome.out  # the others are ranked all the same


def test_one_scan_has_nothing_to_be_compared_with(cli, tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no scan")
    assert only_line(cli("suggest", tmp_path)) == "1 scan; suggest compares at least 2"


def test_too_many_is_refused_before_anything_is_read(cli, tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"no scan")
    outcome = cli("suggest", tmp_path, "-k", 2)
    assert outcome.code == 2
    assert "k is 2, but the number of scans is 2; choose a smaller -k" in outcome.err
