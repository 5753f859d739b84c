"""`psmnet.learn`."""

import os

import pytest

import psmnet
from helpers.commands import contents
from helpers.learnings import LABELS, quick_settings
from psmnet.errors import ConfigError, InputError
from psmnet.io import read_labels, read_volume

pytestmark = pytest.mark.usefixtures("one_process")


def test_from_a_folder_to_masks_and_a_network(data, tiny_weights, tmp_path):
    stages = []
    learned = psmnet.learn(
        data,
        [(data / "image_1.nii.gz", data / "label_1.nii.gz")],
        tmp_path / "run",
        settings=quick_settings(),
        labels=LABELS,
        names={1: "liver", 4: "spleen"},
        weights=tiny_weights,
        device="cpu",
        threads=1,
        progress=lambda stage, done, total, note="": stages.append(stage),
    )
    assert list(learned.masks) == [f"image_{number}" for number in (2, 3, 4, 5, 6)]
    assert learned.failed == {}
    assert list(dict.fromkeys(stages)) == [
        *("first masks", "vote", "training", "masks after training", "masks", "pictures")
    ]
    assert learned.record.labels == {1: "liver", 4: "spleen"}
    for name, mask in learned.masks.items():
        assert read_labels(mask).array_zyx.shape == read_volume(data / f"{name}.nii.gz").array_zyx.shape
    segmenter = psmnet.Segmenter.from_checkpoint(learned.weights)
    assert segmenter.label_values == LABELS


def test_relative_paths_are_the_same_learning(learned, tiny_weights, monkeypatch):
    """Relative paths and words, as a script has them; the earlier run counts as the same learning."""
    monkeypatch.chdir(learned)
    run = contents(learned / "run")
    again = psmnet.learn(
        [f"data/image_{number}.nii.gz" for number in (2, 3, 4, 5)],
        [("data/image_1.nii.gz", "data/label_1.nii.gz")],
        "run",
        settings=quick_settings(),
        labels=LABELS,
        weights=os.fspath(tiny_weights),
        device="cpu",
        threads=1,
    )
    assert again.kept
    assert {name for name in run if "seg.nii" in name} == {
        os.fspath(p.relative_to(learned / "run")) for p in again.masks.values()
    }


def test_what_is_missing_is_said(data, tmp_path):
    with pytest.raises(ConfigError, match="no labelled scan; give at least one"):
        psmnet.learn(data, [], tmp_path / "run")
    with pytest.raises(ConfigError, match=r"ending is png; give one of nii.gz, nrrd"):
        psmnet.learn(data, [("a", "b")], tmp_path / "run", ending="png")
    with pytest.raises(InputError, match="no file or folder"):
        psmnet.learn(data / "nothing", [(data / "image_1.nii.gz", data / "label_1.nii.gz")], tmp_path / "run")
