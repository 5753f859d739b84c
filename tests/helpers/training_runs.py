"""Small training runs on phantoms, and what they would train on."""

import shutil
from pathlib import Path

import pytest
import torch

import psmnet.training.run
from psmnet.catalog import DATASETS
from psmnet.config import AugmentConfig, ModelConfig, Preset, TrainConfig
from psmnet.data.pseudolabels.rule import PseudolabelRule
from psmnet.data.store import Case, find_cases
from psmnet.training.episodes import SelfSupervisedEpisodes
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec

CPU = torch.device("cpu")

CASES = 6  # five folds of one case, the last of two

PHANTOM = DATASETS["phantom"]

RULE = PseudolabelRule.of(PHANTOM)

TINY = Preset(
    ModelConfig(channels=16, input_size=64),
    TrainConfig(steps=2, pairs=1, targets=2, checkpoint_every=1, augment=AugmentConfig(elastic_alpha_px=0)),
)

SPEC = RunSpec("phantom", fold=0, preset="tiny")
SYNTHETIC = RunSpec("synthetic", preset="tiny", steps=1)


def cases_of(data: Path) -> dict[str, Case]:
    return {case.id: case for case in find_cases(data)}


class CapturedError(Exception):  # stops a run before it trains
    def __init__(self, source: SelfSupervisedEpisodes) -> None:
        self.source = source


def source_of(monkeypatch: pytest.MonkeyPatch, spec: RunSpec, out: Path, data: Path) -> SelfSupervisedEpisodes:
    """What a run would train on."""

    def capture(model: object, source: SelfSupervisedEpisodes, *args: object, **options: object) -> None:
        raise CapturedError(source)

    with monkeypatch.context() as patch:
        patch.setattr(psmnet.training.run, "train", capture)
        with pytest.raises(CapturedError) as caught:
            run_training(spec, out, data=data, device=CPU)
    return caught.value.source


def copy_of(data: Path, folder: Path, *left_out: str) -> Path:
    return Path(shutil.copytree(data, folder, ignore=shutil.ignore_patterns(*left_out)))
