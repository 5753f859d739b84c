"""Who supports whom and which slices count, as data, so that evaluation and segmentation run the same code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.catalog import DataSet
from psmnet.errors import ConfigError, InputError
from psmnet.volume import Array

PARTS = 3  # EP1 cuts an organ into three parts along z


@dataclass(frozen=True)
class Split:
    """Cases of one fold.

    Attributes:
        test: queries.
        support: labelled cases, first shot first.
        train: cases that training may see; neither of the above.
    """

    test: tuple[str, ...]
    support: tuple[str, ...]
    train: tuple[str, ...]


def fold_bounds(facts: DataSet, cases: int) -> tuple[int, ...]:
    """Where folds begin in the sorted cases, with the end: the data set's own cuts, else equal parts.

    Raises:
        ConfigError: fewer cases than folds + 1, or not as many as the data set's own cuts are for.
    """
    if facts.fold_cuts:
        if facts.fold_cuts[-1] != cases:
            raise ConfigError(
                f"{cases} cases where {facts.title} has {facts.fold_cuts[-1]}, so its folds are not the field's",
                "complete the data set, or use --dataset folder",
            )
        return facts.fold_cuts
    if cases < facts.folds + 1:
        raise ConfigError(
            f"{cases} cases are too few for {facts.folds} folds", f"give at least {facts.folds + 1} cases"
        )
    part = cases // facts.folds  # the last fold takes the remainder
    return (*(part * fold for fold in range(facts.folds)), cases)


def split_cases(facts: DataSet, ids: Sequence[str], fold: int | None, shots: int = 1) -> Split:
    """Ouyang's folds: fold f tests [b_f, b_f+1), the `shots` cases after it, wrapping, support.

    Args:
        facts: of the data set.
        ids: all cases, sorted.
        fold: None trains on every case and tests none.
        shots: support cases that are kept out of training.

    Raises:
        ConfigError: no such fold, or too few cases.
    """
    if fold is None:
        return Split((), (), tuple(ids))
    bounds = fold_bounds(facts, len(ids))
    if not 0 <= fold < len(bounds) - 1:
        raise ConfigError(f"no fold {fold}", f"give 0 to {len(bounds) - 2}")
    first, end = bounds[fold], bounds[fold + 1]
    outside = [ids[(end + i) % len(ids)] for i in range(len(ids) - (end - first))]
    if not 1 <= shots < len(outside):
        raise ConfigError(
            f"{shots} support cases of {len(outside)} outside fold {fold}", f"give 1 to {len(outside) - 1}"
        )
    kept = set(outside[shots:])
    return Split(tuple(ids[first:end]), tuple(outside[:shots]), tuple(i for i in ids if i in kept))


def excluded_classes(facts: DataSet, setting: int, group: str | None) -> tuple[int, ...]:
    """Label values whose slices training drops: none in Setting 1, the group's test classes in Setting 2.

    Raises:
        ConfigError: no such setting or group, or a data set without Setting 2.
    """
    if setting == 1:
        if group is not None:
            raise ConfigError(f"group {group!r} with Setting 1", "leave --group out, or give --setting 2")
        return ()
    if setting != 2:
        raise ConfigError(f"no Setting {setting}", "give 1 or 2")
    if not facts.groups:
        raise ConfigError(f"{facts.title} has no Setting 2", "give --setting 1")
    if group is None or group not in facts.groups:
        raise ConfigError(f"group {group!r} in Setting 2", f"give --group {' or '.join(facts.groups)}")
    return tuple(facts.labels[name] for name in facts.groups[group])


def allowed_slices(labels_zyx: Array, excluded: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which slices (Z,) training may use: those without any excluded class (Setting 2 as SSL-ALPNet has it)."""
    return np.array([not np.isin(labels_yx, list(excluded)).any() for labels_yx in labels_zyx])


def tested_organs(facts: DataSet, setting: int, group: str | None, present: Sequence[int]) -> dict[str, int]:
    """Organs to report: the field's, of the group in Setting 2; every label of a data set without a list."""
    if not facts.tested:
        return {f"label_{value}": int(value) for value in present}
    names = facts.groups[group] if setting == 2 and group is not None else facts.tested
    return {name: facts.labels[name] for name in names}


def ep1_support_slices(organ_zyx: Array) -> npt.NDArray[np.int64]:
    """EP1's three support slices: number (n (2k + 1)) // 6 of the n slices with the organ, k = 0, 1, 2.

    Raises:
        InputError: the support has no voxel of the organ.
    """
    labelled = np.flatnonzero(organ_zyx.any(axis=(1, 2)))
    if len(labelled) == 0:
        raise InputError("the support has no voxel of the organ", "choose another support case")
    numbers = [(len(labelled) * (2 * k + 1)) // (2 * PARTS) for k in range(PARTS)]
    return labelled[numbers].astype(np.int64)


def ep1_parts(organ_zyx: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """EP1's query slices z0..z1 and the part each belongs to, (Q,) both; empty where the organ is absent."""
    labelled = np.flatnonzero(organ_zyx.any(axis=(1, 2)))
    if len(labelled) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first, last = int(labelled[0]), int(labelled[-1])
    slices = np.arange(first, last + 1, dtype=np.int64)
    if first == last:
        return slices, np.zeros(1, np.int64)
    # In whole numbers: floor((z - z0) / ((z1 - z0) / 3)), free of rounding.
    return slices, np.minimum(PARTS - 1, (slices - first) * PARTS // (last - first))
