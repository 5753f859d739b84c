"""A training run: from a data set's folder (or only a seed) to weights in RUN.

RUN holds `run.json` (the settings of the run), `checkpoint.safetensors`, `metrics.jsonl`, TensorBoard events,
pseudo-labels that were missing, and at the end `weights.safetensors`.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from psmnet.catalog import dataset
from psmnet.config import Preset
from psmnet.errors import InputError
from psmnet.models import WEIGHTS_NAME, TrainingRecord, build_model, load_torchvision, save_weights, settings_of
from psmnet.runtime import package_version
from psmnet.system import locked, sha256_of, write_json
from psmnet.training.distributed import ALONE, Ranks
from psmnet.training.initial_weights import Beginning, initial_weights
from psmnet.training.log import StepCallback
from psmnet.training.loop import train
from psmnet.training.run_folder import RUN_NAME, require_same_run
from psmnet.training.run_source import RunSource, require_rules, run_source
from psmnet.training.run_spec import RunSpec


def run_training(
    spec: RunSpec,
    out: Path,
    *,
    data: Path | None = None,
    pseudolabels: Path | None = None,
    downloads: Path | None = None,
    device: torch.device,
    jobs: int = 1,
    accumulate: int = 1,
    workers: int = 0,
    ranks: Ranks = ALONE,
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
    report: StepCallback | None = None,
) -> Path:
    """Train as `spec` says.

    Args:
        spec: what is trained, on what.
        out: RUN.
        data: folder in the normalised layout; None for `synthetic`.
        pseudolabels: folder of pseudo-labels (default: `data`). Missing ones are written to RUN.
        downloads: folder where encoder weights from a URL are kept (default: RUN).
        device: where to train.
        jobs: processes that make missing pseudo-labels.
        accumulate: parts of a batch that a process takes one after another, which needs less memory.
        workers: processes that draw batches, for which a script needs `if __name__ == "__main__"`; 0 for a thread.
        ranks: the processes that train together; all of them call this and see `out`.
        resume: continue a run that was cut short. Starts a new one if there is none, and does nothing if it is
            finished.
        say: called with one line about what is being done.
        report: called with (steps done, losses) after every step.

    Returns:
        The weights file.

    Raises:
        ConfigError: RUN holds another run, or a run without `resume`.
        InputError: the data can't be used, or a process that draws batches was killed.
    """
    preset = spec.recipe()
    weights = out / WEIGHTS_NAME
    with contextlib.ExitStack() as held:

        def claim() -> dict[str, Any]:
            _require_folder(pseudolabels)
            if not ranks.first:
                return {}
            held.enter_context(locked(out))
            require_rules(spec)
            return require_same_run(spec, preset, out, resume)

        record = ranks.in_turn(claim)
        if weights.exists():
            say("this run is finished")
            return weights
        torch.manual_seed(spec.seed)
        model = build_model(preset.model)
        beginning = ranks.in_turn(lambda: initial_weights(spec, preset))
        model.load_state_dict(model.state_dict() | beginning.tensors)
        if spec.encoder_weights is not None:
            path, checksum = spec.encoder_weights, spec.encoder_sha256
            say(ranks.in_turn(lambda: load_torchvision(model, path, checksum, downloads or out)))
        source = ranks.in_turn(
            lambda: run_source(spec, preset, out, data=data, pseudolabels=pseudolabels, jobs=jobs, say=say)
        )
        if ranks.first:
            write_json(out / RUN_NAME, record)  # not earlier: where an input is refused, RUN can be used again
        say(f"training {preset.train.steps} steps of {preset.train.pairs} image pairs")
        train(
            model,
            source.episodes,
            preset.train,
            out,
            device=device,
            alignment=settings_of(preset.model).alignment,
            accumulate=accumulate,
            workers=workers,
            ranks=ranks,
            resume=resume,
            report=report,
        )
        if ranks.first:
            trained_on = _training_record(spec, preset, source, beginning)
            save_weights(weights, model.cpu(), preset.model, source.normalisation, trained_on)
    return weights


def _require_folder(pseudolabels: Path | None) -> None:
    if pseudolabels is not None and not pseudolabels.is_dir():
        raise InputError(
            f"no folder {pseudolabels}",
            "make it with psmnet pseudolabel, or leave pseudolabels out",
            code="pseudolabels",
        )


def _training_record(spec: RunSpec, preset: Preset, source: RunSource, beginning: Beginning) -> TrainingRecord:
    """What the new weights were trained on; what the initial ones saw counts, too."""
    before = beginning.trained_on
    licences = ["none: synthetic images only" if spec.synthetic else dataset(spec.dataset).licence]
    if beginning.sha256 is not None and before.licence not in (*licences, ""):
        licences.append(before.licence)
    return TrainingRecord(
        dataset=spec.dataset,
        cases=beginning.cases | source.checksums,
        fold=spec.fold,
        setting=before.setting if spec.synthetic else spec.setting,
        group=before.group if spec.synthetic else spec.group,
        setting2=before.setting2 if spec.synthetic else spec.setting2 if spec.setting == 2 else None,
        folds=spec.folds,
        institution=spec.institution,
        pseudolabels=None if spec.synthetic else spec.kind,
        legacy=sorted({*source.faults, *before.legacy}),
        method=spec.method,
        preset=spec.preset,
        steps=preset.train.steps,
        pairs=preset.train.pairs,
        seed=spec.seed,
        precision=preset.train.precision,
        version=package_version(),
        licence="; ".join(licences),
        init=beginning.sha256,
        encoder_weights=_encoder_checksum(spec),
    )


def _encoder_checksum(spec: RunSpec) -> str | None:
    """Checksum of the encoder weights that a run begins with; None for none."""
    if spec.encoder_weights is None:
        return None
    return spec.encoder_sha256 or sha256_of(Path(spec.encoder_weights))
