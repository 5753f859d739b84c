"""What a run draws its episodes from: a data set's scans with their pseudo-labels, or random images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from psmnet.catalog import SETTING2_RULES, dataset
from psmnet.config import Preset
from psmnet.data import Case, allowed_slices, choose, excluded_classes, find_cases, read_dataset_file, split_data
from psmnet.data.pseudolabels import PseudolabelRule, PseudolabelStore
from psmnet.errors import ConfigError, InputError
from psmnet.system import counted
from psmnet.training.episodes import EpisodeSource, SelfSupervisedEpisodes, SliceBank
from psmnet.training.run_spec import RunSpec
from psmnet.training.synthetic import SyntheticEpisodes
from psmnet.volume import Normalisation

FAULTS_OF_TRAINING = ("superpixel-ids", "class-slices")


@dataclass(frozen=True)
class RunSource:
    """Episodes and what they come from.

    Attributes:
        episodes: to train on.
        normalisation: of intensities.
        checksums: SHA-256 of the image file of each training case, by id.
        faults: known bugs in published preprocessing that the data or the training reproduces.
    """

    episodes: EpisodeSource
    normalisation: Normalisation
    checksums: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def require_rules(spec: RunSpec) -> None:
    """Refuse rules of Setting 2 and legacy bugs that training does not have.

    Raises:
        ConfigError: there is one.
    """
    if spec.setting2 not in SETTING2_RULES:
        raise ConfigError(f"no rule {spec.setting2!r} for Setting 2", f"give {' or '.join(SETTING2_RULES)}")
    for name in spec.legacy:
        if name not in FAULTS_OF_TRAINING:
            known = ", ".join(FAULTS_OF_TRAINING)
            raise ConfigError(
                f"{name!r} is not a known bug that training can reproduce",
                f"give any of {known}",
                code="legacy",
                known=known,
            )
    if "class-slices" in spec.legacy and spec.setting != 2:
        raise ConfigError("the known bug class-slices needs Setting 2; Setting 1 drops no slices", "leave it out")


def run_source(
    spec: RunSpec,
    preset: Preset,
    out: Path,
    *,
    data: Path | None,
    pseudolabels: Path | None,
    jobs: int,
    say: Callable[[str], None],
) -> RunSource:
    """Read what a run trains on.

    Args:
        spec, preset: of the run.
        out: its folder, for missing pseudo-labels.
        data: folder in the normalised layout; None for random images.
        pseudolabels: folder of pseudo-labels (default: `data`).
        jobs: processes that make missing ones.
        say: called with one line about what is being done.

    Raises:
        ConfigError: no folder, or no such fold, setting or group.
        InputError: a file can't be used.
    """
    recipe = preset.train
    if spec.synthetic:
        episodes = SyntheticEpisodes(preset.model.input_size, recipe.pairs, recipe.targets, spec.seed)
        return RunSource(episodes, Normalisation(preset.normalisation))
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
    episodes_ = SelfSupervisedEpisodes(
        SliceBank.of_volumes(volumes, preset.model.input_size),
        recipe.pairs,
        recipe.targets,
        recipe.augment,
        spec.seed,
        reach=1 if spec.kind == "supervoxels" else 0,
        skip_last=rule.faulty_ids,
    )
    faults = tuple(sorted({*spec.legacy, *(prepared.legacy if prepared else ())}))
    return RunSource(episodes_, normalisation, {case.id: case.checksum() for case in training}, faults)


def _pseudolabels(
    cases: Sequence[Case], given: PseudolabelStore, own: PseudolabelStore, jobs: int, say: Callable[[str], None]
) -> list[np.ndarray]:
    """Pseudo-labels of each case: the given ones where they fit rule and image; missing ones are made in RUN."""
    stores = {case.id: given for case in given.current(cases)}
    if given.rule.faulty_ids:
        stores |= {case.id: given for case in given.foreign(cases)}
    missing = [case for case in cases if case.id not in stores]
    if missing:
        say(f"making {given.rule.kind} of {counted(len(missing), 'case')} in {own.folder}")
        _, failed = own.write(missing, jobs=jobs)
        for error in failed.values():
            raise error
    return [stores.get(case.id, own).read(case) for case in cases]
