"""What a training run is requested with."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from psmnet.config import PRESETS, Preset
from psmnet.data.pseudolabels import Kind
from psmnet.errors import ConfigError
from psmnet.models import changed


@dataclass(frozen=True)
class RunSpec:
    """What a run trains; a run can only be resumed with the same.

    Attributes:
        dataset: name in the catalog, or `synthetic` for random images.
        fold: cases left out; None trains on every case.
        folds: scheme of the folds, in `catalog.FOLDS`.
        institution: held out by Li's folds.
        setting, group: of the published protocols, in `catalog.SETTINGS`.
        setting2: rule by which Setting 2 drops slices, in `catalog.SETTING2_RULES`.
        kind: superpixels or supervoxels.
        legacy: known bugs in published preprocessing to reproduce, by name.
        support_cases: number of cases after the fold that are kept out, too.
        method: name of a trained method in `models.METHODS`.
        preset: name in `config.PRESETS`.
        precision: of the encoder (default: the preset's).
        steps: number of optimiser steps (default: the preset's).
        pairs: image pairs in a batch (default: the preset's).
        seed: of initial weights and episodes.
        init: weights to begin with (bundled, a run, a file); None from scratch.
        encoder_weights: torchvision's weights for a ResNet encoder, a file or URL; None for none.
        encoder_sha256: checksum of `encoder_weights`; required for a URL.
        changes: `NAME=VALUE` texts, settings of the network or the method that differ from the preset's.
    """

    dataset: str
    fold: int | None = None
    folds: str = "ouyang"
    institution: str | None = None
    setting: int = 1
    group: str | None = None
    setting2: str = "any"
    kind: Kind = "superpixels"
    legacy: tuple[str, ...] = ()
    support_cases: int = 1
    method: str = "psmnet"
    preset: str = "compact"
    precision: str | None = None
    steps: int | None = None
    pairs: int | None = None
    seed: int = 0
    init: str | None = None
    encoder_weights: str | None = None
    encoder_sha256: str | None = None
    changes: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether it trains on random images."""
        return self.dataset == "synthetic"

    def recipe(self) -> Preset:
        """The preset with this run's method, number of steps and changes.

        Raises:
            ConfigError: no such preset or method, steps or pairs below 1, or a change that the method does not know.
        """
        if self.preset not in PRESETS:
            raise ConfigError(f"unknown preset {self.preset!r}", f"give one of {', '.join(PRESETS)}")
        preset = PRESETS[self.preset]
        model = changed(preset.model, self.method, self.changes)
        own: dict[str, Any] = {"steps": self.steps, "pairs": self.pairs, "precision": self.precision}
        own = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(preset, model=model, train=dataclasses.replace(preset.train, **own))
