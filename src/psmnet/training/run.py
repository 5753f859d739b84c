"""A training run: from a data set's folder (or nothing but a seed) to weights in RUN.

RUN holds `run.json` (what was asked for), `checkpoint.safetensors`, `metrics.jsonl`, TensorBoard events, pseudo-labels
that were missing, and at the end `weights.safetensors`.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from psmnet.catalog import SETTING2_RULES, dataset
from psmnet.config import PRESETS, Preset
from psmnet.data import Case, allowed_slices, choose, excluded_classes, find_cases, read_dataset_file, split_data
from psmnet.data.pseudolabels import Kind, PseudolabelRule, PseudolabelStore
from psmnet.errors import ConfigError, InputError
from psmnet.models import (
    WEIGHTS_NAME,
    TrainingRecord,
    Weights,
    build_model,
    changed,
    load_torchvision,
    load_weights,
    save_weights,
    settings_of,
)
from psmnet.runtime import package_version
from psmnet.system import locked, read_json, sha256_of, write_json
from psmnet.training.distributed import ALONE, Ranks
from psmnet.training.episodes import EpisodeSource, SelfSupervisedEpisodes, SliceBank
from psmnet.training.loop import CHECKPOINT_NAME, Report, train
from psmnet.training.synthetic import SyntheticEpisodes
from psmnet.volume import Normalisation

RUN_NAME = "run.json"
ENCODER = "encoder."  # what the names of an encoder's tensors begin with
FAULTS_OF_TRAINING = ("superpixel-ids", "class-slices")


@dataclass(frozen=True)
class RunSpec:
    """What a run is asked for; a run is resumed with the same.

    Attributes:
        dataset: name in the catalog, or `synthetic` for random images.
        fold: cases left out; None trains on every case.
        folds: scheme of the folds, in `catalog.FOLDS`.
        institution: held out by Li's folds.
        setting, group: of the field's
        setting2: rule by which Setting 2 drops slices, in `catalog.SETTING2_RULES`.
        kind: superpixels or supervoxels.
        legacy: faults of the field to reproduce, by name.
        support_cases: cases after the fold that are kept out too.
        method: slice-wise method, in the registry of `models.build`.
        preset: name in `config.PRESETS`.
        precision: of the encoder, instead of the preset's; None keeps it.
        steps: instead of the preset's; None keeps those.
        pairs: image pairs in a batch, instead of the preset's; None keeps those.
        seed: of initial weights and episodes.
        init: weights to begin with (bundled, a run, a file); None from scratch.
        encoder_weights: torchvision's weights for a ResNet encoder, a file or URL; None for none.
        encoder_sha256: checksum of `encoder_weights`; needed for a URL.
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
        train = dataclasses.replace(preset.train, alignment=settings_of(model).alignment, **own)
        return dataclasses.replace(preset, model=model, train=train)


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
    report: Report | None = None,
) -> Path:
    """Train as `spec` says.

    Args:
        spec: what is asked for.
        out: RUN.
        data: folder in the normalised layout; None for `synthetic`.
        pseudolabels: where pseudo-labels lie, if not in `data`; missing ones are made in RUN.
        downloads: where encoder weights from a URL are kept; RUN by default.
        device: where to train.
        jobs: processes that make missing pseudo-labels.
        accumulate: parts of a batch that a process takes one after another, for less memory.
        workers: processes that draw batches, for which a script needs `if __name__ == "__main__"`; 0 for a thread.
        ranks: the processes that train together; all of them call this and see `out`.
        resume: go on with a run that was cut short; begins anew where there is nothing to resume, and does nothing
            where the run is finished.
        say: told in one line what is being done.
        report: told (step, losses) after every step.

    Returns:
        The weights file.

    Raises:
        ConfigError: RUN holds another run, or finished or unfinished work without `resume`.
        InputError: the data can't be used, or a process that draws batches was killed.
    """
    preset = spec.recipe()
    with contextlib.ExitStack() as held:

        def claim() -> dict[str, Any]:
            if pseudolabels is not None and not pseudolabels.is_dir():
                raise InputError(
                    f"no folder {pseudolabels}",
                    "make it with psmnet pseudolabel, or leave pseudolabels out",
                    code="pseudolabels",
                )
            if ranks.first:
                held.enter_context(locked(out))
                return _claim(spec, preset, out, resume)
            return {}

        asked = ranks.in_turn(claim)
        if (out / WEIGHTS_NAME).exists():
            say("this run is finished")
            return out / WEIGHTS_NAME
        torch.manual_seed(spec.seed)
        model = build_model(preset.model)
        synthetic = spec.dataset == "synthetic"
        licences = ["none: synthetic images only" if synthetic else dataset(spec.dataset).licence]
        before, init, seen = TrainingRecord("synthetic"), None, {}
        if spec.init is not None:
            initial = ranks.in_turn(lambda: _initial(spec, preset))
            model.load_state_dict(model.state_dict() | _shared(initial.model, initial.config.method == spec.method))
            before, init = initial.trained_on, initial.sha256
            # What the initial weights saw, these have seen.
            prefix = "" if before.dataset == spec.dataset else f"{before.dataset}/"
            seen = {f"{prefix}{case_id}": checksum for case_id, checksum in before.cases.items()}
            licences += [before.licence] if before.licence not in (*licences, "") else []
        if spec.encoder_weights is not None:
            path, checksum = spec.encoder_weights, spec.encoder_sha256
            say(ranks.in_turn(lambda: load_torchvision(model, path, checksum, downloads or out)))
        source, normalisation, checksums, faults = ranks.in_turn(
            lambda: _source(spec, preset, out, data, pseudolabels, jobs, say)
        )
        if ranks.first:
            write_json(out / RUN_NAME, asked)  # not before: a refused input leaves RUN free
        say(f"training {preset.train.steps} steps of {preset.train.pairs} image pairs")
        train(
            model,
            source,
            preset.train,
            out,
            device=device,
            accumulate=accumulate,
            workers=workers,
            ranks=ranks,
            resume=resume,
            report=report,
        )
        if not ranks.first:
            return out / WEIGHTS_NAME
        record = TrainingRecord(
            dataset=spec.dataset,
            cases=seen | checksums,
            fold=spec.fold,
            setting=before.setting if synthetic else spec.setting,
            group=before.group if synthetic else spec.group,
            setting2=before.setting2 if synthetic else spec.setting2 if spec.setting == 2 else None,
            folds=spec.folds,
            institution=spec.institution,
            pseudolabels=None if synthetic else spec.kind,
            legacy=sorted({*faults, *before.legacy}),
            method=spec.method,
            preset=spec.preset,
            steps=preset.train.steps,
            pairs=preset.train.pairs,
            seed=spec.seed,
            precision=preset.train.precision,
            version=package_version(),
            licence="; ".join(licences),
            init=init,
            encoder_weights=_encoder_checksum(spec),
        )
        save_weights(out / WEIGHTS_NAME, model.cpu(), preset.model, normalisation, record)
    return out / WEIGHTS_NAME


def _encoder_checksum(spec: RunSpec) -> str | None:
    """Checksum of the encoder weights that a run begins with; None for none."""
    if spec.encoder_weights is None:
        return None
    return spec.encoder_sha256 or sha256_of(Path(spec.encoder_weights))


def require_room(out: Path, resume: bool) -> None:
    """Refuse a folder with a run that is not to be resumed.

    Raises:
        ConfigError: there is one.
    """
    if (out / RUN_NAME).exists() and not resume:
        raise ConfigError(f"{out} already holds a run", "resume it, or choose another folder", code="run-exists")


def _initial(spec: RunSpec, preset: Preset) -> Weights:
    """The weights to begin with.

    Raises:
        ConfigError: they are of another network, or saw what Setting 2 must not.
    """
    initial = load_weights(str(spec.init))
    before = initial.trained_on
    alike = initial.config.method == spec.method
    mine, theirs = (_shared(model, alike) for model in (build_model(preset.model), initial.model))
    if {name: m.shape for name, m in mine.items()} != {name: t.shape for name, t in theirs.items()}:
        raise ConfigError(f"{spec.init} holds another network than this run's", "use its own preset and settings")
    if spec.setting == 2 and before.setting == 1:
        raise ConfigError(
            f"{spec.init} was trained in Setting 1, where test classes were visible", "begin Setting 2 elsewhere"
        )
    if spec.setting == 2 and before.setting == 2 and before.group != spec.group:
        raise ConfigError(
            f"{spec.init} was trained for group {before.group}, where classes of {spec.group} were visible",
            "begin with weights of the same group",
        )
    if spec.setting == 2 and before.setting2 == "all" and spec.setting2 == "any":
        raise ConfigError(
            f"{spec.init} was trained by rule all of Setting 2, where slices with one test class were visible",
            "begin with weights of the same rule",
        )
    return initial


def _shared(model: nn.Module, alike: bool) -> dict[str, torch.Tensor]:
    """What initial weights give: everything, or to another method the encoder; its own parts it begins anew."""
    return {name: tensor for name, tensor in model.state_dict().items() if alike or name.startswith(ENCODER)}


def _claim(spec: RunSpec, preset: Preset, out: Path, resume: bool) -> dict[str, Any]:
    """Make sure that RUN is new, or this very run; returns what is asked for, as run.json holds it."""
    if spec.setting2 not in SETTING2_RULES:
        raise ConfigError(f"no rule {spec.setting2!r} for Setting 2", f"give {' or '.join(SETTING2_RULES)}")
    for name in spec.legacy:
        if name not in FAULTS_OF_TRAINING:
            known = ", ".join(FAULTS_OF_TRAINING)
            raise ConfigError(
                f"training has no legacy bug {name!r}", f"give any of {known}", code="legacy", known=known
            )
    if "class-slices" in spec.legacy and spec.setting != 2:
        raise ConfigError("the legacy bug class-slices in Setting 1, which drops no slices", "leave it out")
    asked = {"run": _plain(spec), "preset": _plain(preset)}
    path = out / RUN_NAME
    require_room(out, resume)
    if path.exists():
        before = read_json(path)
        before["run"] = _plain(RunSpec(spec.dataset)) | before.get("run", {})  # it may be older than an option
        if before != asked:
            old, new = before["run"], asked["run"]
            changed = [f"{key} {old.get(key)}, not {new[key]}" for key in sorted(new) if old.get(key) != new[key]]
            with_ = ", ".join(changed) or f"preset {spec.preset} as it was then"
            raise ConfigError(f"{out} was begun with {with_}", "resume with the same options")
    elif (out / CHECKPOINT_NAME).exists():
        raise ConfigError(f"{out} holds a checkpoint without {RUN_NAME}", "choose another folder", code="out")
    return asked


def _plain(recorded: RunSpec | Preset) -> dict[str, Any]:
    """As JSON has it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recorded)))
    return plain


def _source(
    spec: RunSpec,
    preset: Preset,
    out: Path,
    data: Path | None,
    pseudolabels: Path | None,
    jobs: int,
    say: Callable[[str], None],
) -> tuple[EpisodeSource, Normalisation, dict[str, str], tuple[str, ...]]:
    """Episodes, the rule for intensities, the checksums of the cases behind them, and the field's faults in it all."""
    recipe = preset.train
    if spec.dataset == "synthetic":
        source = SyntheticEpisodes(preset.model.input_size, recipe.pairs, recipe.targets, spec.seed)
        return source, Normalisation(preset.normalisation), {}, ()
    if data is None:
        raise ConfigError(f"no folder for data set {spec.dataset}", "give the folder with its normalised scans")
    facts = dataset(spec.dataset)
    excluded = excluded_classes(facts, spec.setting, spec.group)
    cases = find_cases(data)
    prepared = read_dataset_file(data)
    split = split_data(
        facts, cases, prepared, spec.fold, spec.support_cases, folds=spec.folds, institution=spec.institution
    )
    training = choose(cases, split.train)
    rule = PseudolabelRule.of(facts, spec.kind, faulty_ids="superpixel-ids" in spec.legacy)
    given, own = PseudolabelStore(pseudolabels or data, rule), PseudolabelStore(out / "pseudolabels", rule)
    labels = _pseudolabels(training, given, own, jobs, say)

    kept_out = f"; kept out: {', '.join(split.test)} (test), {', '.join(split.support)} (support)" if split.test else ""
    say(f"reading {len(training)} training cases: {', '.join(split.train)}{kept_out}")
    intensities = "ct-fold" if facts.normalisation == "ct-fold" else preset.normalisation
    images = [case.image() for case in training]
    normalisation = Normalisation.of_cases(intensities, (image.array_zyx for image in images))
    volumes = []
    for case, image, ids in zip(training, images, labels, strict=True):
        if ids.shape != image.array_zyx.shape:
            raise InputError(
                f"{spec.kind} of case {case.id} have shape {ids.shape}, its image {image.array_zyx.shape}",
                "make them again with psmnet pseudolabel",
            )
        allowed = np.ones(len(image.array_zyx), dtype=bool)
        if excluded:
            allowed = allowed_slices(
                case.labels(image).array_zyx, excluded, rule=spec.setting2, faulty="class-slices" in spec.legacy
            )
        volumes.append((normalisation.apply(image.array_zyx), ids, allowed))
    if excluded:
        dropped = sum(int((~allowed).sum()) for _, _, allowed in volumes)
        say(f"dropping {dropped} slices that show {spec.setting2} of the test classes of group {spec.group}")
    source_ = SelfSupervisedEpisodes(
        SliceBank.of_volumes(volumes, preset.model.input_size),
        recipe.pairs,
        recipe.targets,
        recipe.augment,
        spec.seed,
        reach=1 if spec.kind == "supervoxels" else 0,
        skip_last=rule.faulty_ids,
    )
    faults = tuple(sorted({*spec.legacy, *(prepared.legacy if prepared else ())}))
    return source_, normalisation, {case.id: case.checksum() for case in training}, faults


def _pseudolabels(
    cases: Sequence[Case], given: PseudolabelStore, own: PseudolabelStore, jobs: int, say: Callable[[str], None]
) -> list[np.ndarray]:
    """Pseudo-labels of each case: those given where they are of this rule and fit the image, else made in RUN."""
    stores = {case.id: given for case in given.current(cases)}
    if given.rule.faulty_ids:
        stores |= {case.id: given for case in given.foreign(cases)}
    missing = [case for case in cases if case.id not in stores]
    if missing:
        say(f"making {given.rule.kind} of {len(missing)} cases in {own.folder.name}")
        _, failed = own.write(missing, jobs=jobs)
        for error in failed.values():
            raise error
    return [stores.get(case.id, own).read(case) for case in cases]
