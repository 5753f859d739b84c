"""Folds and settings: which cases are queries, supports and training cases, and which slices training may use."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.catalog import FOLDS, SETTING2_RULES, DataSet
from psmnet.data.dataset_file import DatasetFile
from psmnet.data.store import Case, unlabelled
from psmnet.errors import ConfigError
from psmnet.io import unnamed
from psmnet.volume import Array

SLICE_SUM_MINIMUM = 100  # of published class-slice indices (the known bug `class-slices`)


@dataclass(frozen=True)
class Split:
    """The cases of one fold.

    Attributes:
        test: queries.
        support: labelled cases, first shot first.
        train: cases that training may see; none of the above.
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
                f"{cases} cases, but the data set ({facts.title}) has {facts.fold_cuts[-1]}: its folds can't be made",
                "complete the data set, or use it as data set folder",
                code="incomplete",
            )
        return facts.fold_cuts
    if cases < facts.folds + 1:
        raise ConfigError(
            f"{cases} cases are too few for {facts.folds} folds", f"give at least {facts.folds + 1} cases"
        )
    part = cases // facts.folds  # the last fold takes the remainder
    return (*(part * fold for fold in range(facts.folds)), cases)


def split_cases(
    facts: DataSet,
    ids: Sequence[str],
    fold: int | None,
    shots: int = 1,
    *,
    folds: str = "ouyang",
    unlabelled: Collection[str] = (),
    institutions: Mapping[str, str] | None = None,
    institution: str | None = None,
) -> Split:
    """Which cases are queries, which are supports, and which remain for training.

    Ouyang's fold f tests [b_f, b_f+1) of the sorted cases; the `shots` cases after it, wrapping, are the support.
    ADNet's and Q-Net's draw both from the same window, the fold and the case after it, sorted: its last case, or its
    number 2 counted from 0, is the support and the others are queries. Li's leave an institution out.

    Args:
        facts: facts of the data set.
        ids: ids of all cases, sorted.
        fold: None trains on every case and tests none.
        shots: number of support cases, which are kept out of training.
        folds: name in `catalog.FOLDS`.
        unlabelled: cases that can't be tested; they always remain for training.
        institutions: case id to institution, for Li's folds.
        institution: the one that is left out of training.

    Raises:
        ConfigError: no such fold, institution or scheme, or too few cases.
    """
    if folds not in FOLDS:
        raise ConfigError(f"no folds {folds!r}", f"give one of {', '.join(FOLDS)}")
    labelled = [case_id for case_id in ids if case_id not in unlabelled]
    if folds == "li":
        test, support = _held_out(facts, labelled, fold, shots, institutions or {}, institution)
        return _split(ids, test, support, [i for i in ids if (institutions or {}).get(i) == institution])
    if institution is not None:
        raise ConfigError(f"institution {institution!r} with folds {folds}", "use folds li", code="folds-li")
    if fold is None:
        return Split((), (), tuple(ids))
    bounds = fold_bounds(facts, len(labelled))
    if not 0 <= fold < len(bounds) - 1:
        raise ConfigError(f"no fold {fold}", f"give 0 to {len(bounds) - 2}")
    first, end = bounds[fold], bounds[fold + 1]
    test = labelled[first:end]
    outside = [labelled[(end + i) % len(labelled)] for i in range(len(labelled) - len(test))]
    most = len(outside) - 1 if folds == "ouyang" else 1
    if not 1 <= shots <= most:
        raise ConfigError(f"{shots} support cases of fold {fold} ({folds})", f"give 1 to {most}")
    support = outside[:shots]
    if folds != "ouyang":
        window = [case_id for case_id in labelled if case_id in (*test, *support)]
        if folds == "qnet" and len(window) < 3:
            raise ConfigError(
                f"fold {fold} of {len(labelled)} cases is too small for folds qnet", "use other folds", code="folds"
            )
        support = [window[-1] if folds == "adnet" else window[2]]
        test = [case_id for case_id in window if case_id not in support]
    return _split(ids, test, support)


def split_data(
    facts: DataSet,
    cases: Sequence[Case],
    prepared: DatasetFile | None,
    fold: int | None,
    shots: int = 1,
    *,
    folds: str = "ouyang",
    institution: str | None = None,
) -> Split:
    """`split_cases` for the cases of a folder, with its dataset.json if there is one."""
    return split_cases(
        facts,
        [case.id for case in cases],
        fold,
        shots,
        folds=folds,
        unlabelled=unlabelled(facts, cases),
        institutions=prepared.institutions() if prepared else None,
        institution=institution,
    )


def _split(ids: Sequence[str], test: Sequence[str], support: Sequence[str], kept_out: Sequence[str] = ()) -> Split:
    return Split(tuple(test), tuple(support), tuple(i for i in ids if i not in (*test, *support, *kept_out)))


def _held_out(
    facts: DataSet,
    ids: Sequence[str],
    fold: int | None,
    shots: int,
    institutions: Mapping[str, str],
    institution: str | None,
) -> tuple[list[str], list[str]]:
    """Li et al.: one institution's cases, the first `shots` of them as support."""
    known = sorted(set(institutions.values()))
    if not known:
        raise ConfigError(
            f"{facts.title}: nothing says which institution a case comes from", "make the data with psmnet prepare"
        )
    if institution not in known:
        listed = ", ".join(known)
        what = "folds li need an institution" if institution is None else f"no institution {institution!r}"
        raise ConfigError(what, f"give one of {listed}", code="institution", known=listed)
    if fold is not None:
        novel_classes(facts, fold)
    held = [case_id for case_id in ids if institutions.get(case_id) == institution]
    if not 1 <= shots < len(held):
        raise ConfigError(
            f"{shots} support cases of {len(held)} at {institution}", f"give 1 to {len(held) - 1}, or another"
        )
    return held[shots:], held[:shots]


def novel_classes(facts: DataSet, fold: int) -> dict[str, int]:
    """The structures that Li's fold f (0 to 3) tests: {f + 1, f + 5} of eight."""
    half = len(facts.labels) // 2
    if not 0 <= fold < half:
        raise ConfigError(f"no fold {fold} of Li's", f"give 0 to {half - 1}")
    return {name: value for name, value in facts.labels.items() if value in (fold + 1, fold + 1 + half)}


def excluded_classes(facts: DataSet, setting: int, group: str | None) -> tuple[int, ...]:
    """Label values whose slices training drops: none in Setting 1, the group's test classes in Setting 2.

    Raises:
        ConfigError: no such setting or group, or a data set without Setting 2.
    """
    if setting == 1:
        if group is not None:
            raise ConfigError(f"group {group!r} in Setting 1", "leave it out, or use Setting 2", code="group-setting-1")
        return ()
    if setting != 2:
        raise ConfigError(f"no Setting {setting}", "give 1 or 2")
    if not facts.groups:
        raise ConfigError(f"{facts.title} has no Setting 2", "use Setting 1", code="setting-1")
    if group is None or group not in facts.groups:
        known = " or ".join(facts.groups)
        what = "Setting 2 needs a group" if group is None else f"no group {group!r} in Setting 2"
        raise ConfigError(what, f"give {known}", code="group", known=known)
    return tuple(facts.labels[name] for name in facts.groups[group])


def allowed_slices(
    labels_zyx: Array, excluded: Sequence[int], *, rule: str = "any", faulty: bool = False
) -> npt.NDArray[np.bool_]:
    """Which slices training may use in Setting 2, bool (Z,).

    Args:
        labels_zyx: label map.
        excluded: label values of the test classes; without any, every slice is allowed.
        rule: name in `catalog.SETTING2_RULES`: a slice is dropped if it shows any of them, or only if it shows all.
        faulty: reproduce the known bug `class-slices` of the catalog.
    """
    if not excluded:
        return np.ones(len(labels_zyx), dtype=bool)
    if rule not in SETTING2_RULES:
        raise ConfigError(f"no rule {rule!r} for Setting 2", f"give {' or '.join(SETTING2_RULES)}")
    shown = np.stack([slices_with(labels_zyx, value, faulty=faulty) for value in excluded])
    dropped: npt.NDArray[np.bool_] = np.any(shown, axis=0) if rule == "any" else np.all(shown, axis=0)
    return ~dropped


def slices_with(labels_zyx: Array, value: int, *, faulty: bool = False) -> npt.NDArray[np.bool_]:
    """Which slices show a class, bool (Z,).

    Args:
        labels_zyx: label map.
        value: label value of the class.
        faulty: count a slice only if its label values, over all classes, add up to 100 or more, as published indices
            do. The threshold was meant for the number of voxels: 25 voxels of class 4 pass, 25 of class 1 don't.
    """
    shown: npt.NDArray[np.bool_] = (labels_zyx == value).any(axis=(1, 2))
    if faulty:
        shown &= labels_zyx.sum(axis=(1, 2), dtype=np.int64) >= SLICE_SUM_MINIMUM
    return shown


def tested_organs(
    facts: DataSet,
    setting: int,
    group: str | None,
    present: Sequence[int],
    called: Mapping[int, str],
) -> dict[str, int]:
    """Organs to report, name to value: the published ones, in Setting 2 those of the group, else every label present.

    Args:
        facts: of the data set.
        setting, group: see docs/protocols.md.
        present: label values of the supports.
        called: label value to organ name, for a data set without a list of organs.
    """
    if not facts.tested:
        return {called.get(value, unnamed(int(value)).name): int(value) for value in present}
    names = facts.groups[group] if setting == 2 and group is not None else facts.tested
    return {name: facts.labels[name] for name in names}
