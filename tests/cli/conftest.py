"""What tests of commands share: one cohort that is segmented once, and quick trainings."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from helpers.commands import segment
from helpers.tiny import TINY
from psmnet.cli.main import main
from psmnet.config import PRESETS, TrainConfig
from psmnet.training import log as training_log


@pytest.fixture(scope="session")
def segmented_once(phantoms: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with phantoms 1 to 3, and masks of 2 by the labels of 1."""
    folder = tmp_path_factory.mktemp("segmented")
    for name in ("image_1", "label_1", "image_2", "image_3"):
        shutil.copy(phantoms / f"{name}.nii.gz", folder)
    main(segment(folder / "masks", folder, tiny_weights, folder / "image_2.nii.gz"))
    return folder


@pytest.fixture
def segmented(segmented_once: Path, tmp_path: Path) -> Path:
    """A copy of `segmented_once` that a test may change."""
    return Path(shutil.copytree(segmented_once, tmp_path / "segmented"))


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """`compact` with the tests' network and three steps."""
    recipe = TrainConfig(steps=3, pairs=2, targets=2, warmup=1, checkpoint_every=2)
    monkeypatch.setitem(PRESETS, "compact", dataclasses.replace(PRESETS["compact"], model=TINY, train=recipe))
    monkeypatch.setattr(training_log, "_tensorboard", lambda run: None)  # seconds of import, and tested elsewhere
