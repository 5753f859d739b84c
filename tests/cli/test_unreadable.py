"""What may not be read costs itself only."""

import shutil

import pytest

from helpers.permissions import binding


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("more", [(), ("--anonymise",)])
def test_a_cohort_goes_on_without_a_folder_that_may_not_be_read(cli, phantoms, tiny_weights, tmp_path, more):
    closed = tmp_path / "scans" / "closed"
    closed.mkdir(parents=True)
    shutil.copy(phantoms / "image_2.nii.gz", tmp_path / "scans")
    shutil.copy(phantoms / "image_3.nii.gz", closed)
    closed.chmod(0)
    support = ("--support", phantoms / "image_1.nii.gz", phantoms / "label_1.nii.gz")
    try:
        with binding():
            outcome = cli(
                *("segment", tmp_path / "scans", *support, "--weights", tiny_weights, "--out", tmp_path / "out"),
                *("--device", "cpu", *more),
            )
    finally:
        closed.chmod(0o700)
    assert outcome.code == 2
    assert "Permission denied" in outcome.err
    assert len(list((tmp_path / "out").glob("*_seg.nii.gz"))) == 1
    assert (tmp_path / "out" / "report.json").exists()
