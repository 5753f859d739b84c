"""Weights files: safetensors with a JSON record. No pickle."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from psmnet.config import PRESETS, ModelConfig
from psmnet.errors import ConfigError, InputError
from psmnet.models.build import build_model, changed, differences, model_from_record, model_record
from psmnet.models.registry import METHODS
from psmnet.system import atomic_path, sha256_of
from psmnet.volume import Normalisation

WEIGHTS_NAME = "weights.safetensors"
BUNDLED = Path(__file__).parent / "bundled" / "bundled.safetensors"
BUNDLED_SHA256 = "1c9b198733545c8bafd6cb4c39fe20622508e6f5a2e8ca0235b8faa6d0d04746"
LEARNED = "learned"  # in the record of a network that needs no labelled scan, which `segmentation` reads
_RECORD = "psmnet"


@dataclass(frozen=True)
class TrainingRecord:
    """What weights were trained on.

    Attributes:
        dataset: name in the catalog, or `synthetic`.
        cases: id to SHA-256 of the image file, of every case that training saw.
        fold: fold left out, None for none.
        setting, group: of the published protocols; None where they do not apply.
        setting2: the rule by which Setting 2 drops slices, None in Setting 1.
        folds, institution: scheme of the folds, and the institution that Li's folds hold out.
        pseudolabels: superpixels or supervoxels; None for synthetic images.
        legacy: known bugs in published preprocessing that the data or the training reproduces, by their names in the
            catalog.
        method: that was trained.
        preset, steps, pairs, seed, precision: of the training; pairs 0 where it is not known.
        version: of psmnet.
        licence: of the training images.
        init: SHA-256 of the weights that training began with, None from scratch.
        encoder_weights: checksum of the published weights that the encoder began with, None for none.
    """

    dataset: str
    cases: dict[str, str] = field(default_factory=dict)
    fold: int | None = None
    setting: int | None = None
    group: str | None = None
    setting2: str | None = None
    folds: str = "ouyang"
    institution: str | None = None
    pseudolabels: str | None = None
    legacy: list[str] = field(default_factory=list)
    method: str = "psmnet"
    preset: str = "compact"
    steps: int = 0
    pairs: int = 0
    seed: int = 0
    precision: str = "float32"
    version: str = ""
    licence: str = ""
    init: str | None = None
    encoder_weights: str | None = None


@dataclass(frozen=True)
class Weights:
    """A trained network with all that inference needs.

    Attributes:
        model: in evaluation mode, on the CPU.
        config: the parts of the network.
        normalisation: of intensities.
        trained_on: what training saw.
        sha256: of the weights file.
        variant: "bundled" for the package's own file, and settings that differ from the preset's (or that file's), in
            training or after it, as `name=value,...`; None for none.
    """

    model: nn.Module
    config: ModelConfig
    normalisation: Normalisation
    trained_on: TrainingRecord
    sha256: str
    variant: str | None = None


def save_weights(
    path: Path, model: nn.Module, config: ModelConfig, normalisation: Normalisation, trained_on: TrainingRecord
) -> None:
    """Write a weights file: tensors, and the record in the file's header."""
    record = {
        "model": model_record(config),
        "normalisation": asdict(normalisation),
        "trained_on": asdict(trained_on),
    }
    save_tensors(path, model.state_dict(), record)


def load_weights(source: str | Path, method: str | None = None, changes: Sequence[str] = ()) -> Weights:
    """Read weights by name: `bundled`, a run's folder, or a file.

    Args:
        source: which.
        method: another method over the same encoder (default: the one that was trained).
        changes: `NAME=VALUE` texts, settings to change after training, for ablations (split_rounds=0, ...).

    Raises:
        InputError: there are none, the file is damaged or not psmnet's, its tensors don't fit the changes, or it holds
            a learned network, which has no method.
        ConfigError: no such method, the method of the weights is not installed, or a change that it does not have.
    """
    path = find_weights(source)
    sha256 = sha256_of(path)
    if path == BUNDLED and sha256 != BUNDLED_SHA256:
        raise InputError(f"the bundled weights file {path} is damaged: its checksum is wrong", "install psmnet again")
    tensors, record = load_tensors(path)
    if LEARNED in record:
        raise InputError(
            f"{path} is a learned network: it segments without a labelled scan and can't compare scans",
            "segment with Segmenter.from_checkpoint, or give weights that were trained or adapted",
            code="learned-weights",
        )
    try:
        if (trained_method := record["model"].get("method", ModelConfig.method)) not in METHODS:
            raise ConfigError(
                f"these weights are for the method {trained_method}, which is not installed",
                "install the package that has it",
                code="method-not-installed",
            )
        trained = model_from_record(record["model"])
        config = changed(trained, method, changes)
        normalisation = Normalisation(**record["normalisation"])
        trained_on = TrainingRecord(**record["trained_on"])
        model = build_model(config)
        if config != trained:  # parts may have been switched off
            missing = [name for name in model.state_dict() if name not in tensors]
            if missing and config.method != trained.method:
                raise InputError(
                    f"{path} was trained with {trained.method} and lacks what {config.method} trains ({missing[0]})",
                    f"train {config.method}",
                    code="weights-method",
                    method=config.method,
                )
            tensors = {name: tensors[name] for name in model.state_dict()}
        model.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path} does not fit this version of psmnet or these settings ({type(error).__name__})",
            "train again, or use the version that wrote it",
        ) from error
    bundled = path == BUNDLED
    usual = changed(trained if bundled else PRESETS[trained_on.preset].model, config.method)
    variant = ["bundled"] * bundled + differences(model_record(config), model_record(usual))
    return Weights(model.eval(), config, normalisation, trained_on, sha256, ",".join(variant) or None)


def find_weights(source: str | Path) -> Path:
    """The file behind `bundled`, a run's folder, or a path.

    Raises:
        InputError: there is none.
    """
    path = BUNDLED if str(source) == "bundled" else Path(source)
    if path.is_dir():
        if not (path / WEIGHTS_NAME).exists():
            what = f"{path} has no {WEIGHTS_NAME}"
            raise InputError(what, "give the folder of a finished training", code="unfinished-run")
        path = path / WEIGHTS_NAME
    if not path.is_file():
        raise InputError(f"no file or folder {str(source)!r}", "give a run's folder, a .safetensors file, or bundled")
    return path


def is_learned(path: Path) -> bool:
    """Whether a weights file holds a learned network; reads its header only. False for a file that can't be read."""
    try:
        return LEARNED in _record_of(path)
    except InputError:
        return False


def _record_of(path: Path) -> dict[str, Any]:
    """The JSON record in the header of a weights file."""
    try:
        with safe_open(path, framework="pt") as stream:
            record: dict[str, Any] = json.loads((stream.metadata() or {})[_RECORD])
    except (SafetensorError, KeyError, OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or is not a weights file", "copy it again") from error
    return record


def save_tensors(path: Path, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON record into one safetensors file, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={_RECORD: json.dumps(record, sort_keys=True, allow_nan=False)})


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that `save_tensors` wrote.

    Raises:
        InputError: the file is damaged or not psmnet's, or holds values that are not finite.
    """
    record = _record_of(path)
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or is not a weights file", "copy it again") from error
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise InputError(
            f"{path} holds values that are not finite ({bad[0]}): it is damaged, or its training diverged",
            "copy or train it again",
        )
    return tensors, record
