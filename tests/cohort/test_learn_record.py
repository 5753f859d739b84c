"""Where a learning's labelled scans are written down to be."""

from pathlib import Path

import pytest

from psmnet.cohort.learn_record import LabelledPair
from psmnet.system.files import sha256_of


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pair = tmp_path / "scans" / "old.nii.gz", tmp_path / "scans" / "old_labels.nii.gz"
    pair[0].parent.mkdir()
    for number, path in enumerate(pair):
        path.write_bytes(bytes([number]))
    return pair


def test_paths_are_relative_to_the_run(files, tmp_path):
    pair = LabelledPair.of(*files, tmp_path / "results" / "run")
    assert (pair.image, pair.labels) == ("../../scans/old.nii.gz", "../../scans/old_labels.nii.gz")
    assert (pair.image_sha256, pair.labels_sha256) == tuple(sha256_of(path) for path in files)
    assert pair.paths(tmp_path / "results" / "run") == files


def test_all_may_move_together(files, tmp_path):
    pair = LabelledPair.of(*files, tmp_path / "run")
    assert pair.paths(tmp_path / "elsewhere" / "run") == (
        tmp_path / "elsewhere" / "scans" / "old.nii.gz",
        tmp_path / "elsewhere" / "scans" / "old_labels.nii.gz",
    )
