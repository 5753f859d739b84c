"""Evaluation by published protocols (docs/protocols.md); the result is plain JSON values."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psmnet import runtime
from psmnet.catalog import PROTOCOLS, dataset
from psmnet.data import Case, choose, excluded_classes, novel_classes, read_dataset_file, split_data, tested_organs
from psmnet.errors import ConfigError, InputError, LeakageError, require
from psmnet.evaluation import protocols
from psmnet.evaluation.cohort_results import COHORT
from psmnet.evaluation.learned_evaluator import evaluate_learned
from psmnet.evaluation.metrics import score
from psmnet.evaluation.predictors import Predictor, predictor_of
from psmnet.evaluation.protocols import Counted
from psmnet.evaluation.results_schema import SCHEMA, mask_path, summarise
from psmnet.io import write_volume
from psmnet.models import TrainingRecord, Weights, model_record
from psmnet.segmentation import ComparingMethod, LearnedWeights, UntrainedMethod, method_name
from psmnet.volume import Mask, Volume


def evaluate(
    method: ComparingMethod | LearnedWeights,
    cases: Sequence[Case],
    *,
    dataset_name: str,
    fold: int,
    protocol: str = "ep1",
    folds: str = "ouyang",
    institution: str | None = None,
    setting: int = 1,
    group: str | None = None,
    support_ids: Sequence[str] | None = None,
    shots: int = 1,
    allow_seen: bool = False,
    device: torch.device | None = None,
    masks: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Score a method on one fold.

    Args:
        method: weights of a slice-wise method, registration, or a learned network (protocol `cohort` only).
        cases: all cases of the data set, sorted.
        dataset_name: in the catalog.
        fold: number of the fold; its cases are the queries (with Li's folds, its structures are tested).
        protocol: in `catalog.PROTOCOLS`.
        folds: scheme of the folds, in `catalog.FOLDS`.
        institution: held out by Li's folds.
        setting, group: which organs are tested.
        support_ids: support cases to use in place of the fold's own.
        shots: number of the fold's own support cases to use.
        allow_seen: evaluate even if training saw a test or support case; the result records it.
        device: CPU by default.
        masks: folder for the predictions, one binary mask per case and organ.
        report: called with the id of each query when it is done.

    Returns:
        The content of a results file, ready for JSON.

    Raises:
        ConfigError: unknown protocol, fold or setting.
        LeakageError: training saw a test or support case.
        InputError: no support has any of the tested organs, or a support is a query.
    """
    began = time.perf_counter()
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no protocol {protocol!r}", f"give one of {', '.join(PROTOCOLS)}")
    if isinstance(method, LearnedWeights):
        _require_plain(protocol, setting, institution, support_ids, shots)
        return evaluate_learned(
            method,
            cases,
            dataset_name=dataset_name,
            fold=fold,
            folds=folds,
            allow_seen=allow_seen,
            device=device or torch.device("cpu"),
            masks=masks,
            report=report,
        )
    if protocol == COHORT:
        raise ConfigError(
            f"the protocol {COHORT} is for learned networks", "give the folder of a learning as weights", code="cohort"
        )
    trained_on = method.trained_on if isinstance(method, Weights) else None
    facts = dataset(dataset_name)
    excluded_classes(facts, setting, group)
    if setting == 2 and trained_on is not None and not allow_seen:
        _require_setting_2(trained_on, group)
    prepared = read_dataset_file(cases[0].image_path.parent)
    split = split_data(facts, cases, prepared, fold, shots, folds=folds, institution=institution)
    supports = choose(cases, dict.fromkeys(support_ids or split.support))
    queries = [case for case in choose(cases, split.test) if case.id not in {s.id for s in supports}]
    if len(queries) < len(split.test):
        raise InputError(
            f"support {', '.join(s.id for s in supports)} is in fold {fold}",
            "choose another support",
        )
    checksums = {case.id: case.checksum() for case in [*queries, *supports]}
    seen = seen_cases(trained_on, dataset_name, checksums) if trained_on is not None else []
    if seen and not allow_seen:
        raise LeakageError(
            f"the weights were trained on case {', '.join(seen)}",
            "use weights of this fold, or allow_seen=True",
            code="seen",
        )

    images = [case.image() for case in supports]
    scans = [(image, case.labels(image)) for case, image in zip(supports, images, strict=True)]
    present = sorted({int(v) for _, labels in scans for v in np.unique(labels.array_zyx)} - {0})
    organs = (
        novel_classes(facts, fold)
        if folds == "li"
        else tested_organs(facts, setting, group, present, prepared.names() if prepared else {})
    )
    known = {name: value for name, value in organs.items() if value in present}
    if not known:
        raise InputError(
            f"support {', '.join(case.id for case in supports)} has none of the tested organs", "choose another support"
        )
    predictor = predictor_of(method, protocol, device or torch.device("cpu"))
    predictor.set_support(scans, sorted(known.values()))
    records: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    for query in queries:
        started = time.perf_counter()
        image, counted, predicted = predict_query(predictor, query, protocol, list(known.values()))
        seconds[query.id] = time.perf_counter() - started
        labels = query.labels(image)
        for name, value in known.items():
            slices = counted[value].slices
            if len(slices) == 0:  # EP1 makes no record of an organ that is not in the query
                continue
            whole = _whole(predicted[value], counted[value], image)
            box = slice(slices[0], slices[-1] + 1)
            scores = score(whole[box], labels.array_zyx[box] == value, labels.spacing_mm)
            records.append({"case": query.id, "label": name, "slices": len(slices), **scores.as_record()})
            if masks is not None:
                write_volume(image.with_array(whole.astype(np.uint8)), mask_path(masks, query.id, name))
        if report is not None:
            report(query.id)
    return {
        "schema": SCHEMA,
        "method": method_name(method),
        "variant": method.variant,
        "dataset": dataset_name,
        "protocol": protocol,
        "setting": setting,
        "group": group,
        "setting2": trained_on.setting2 if trained_on else None,
        "folds": folds,
        "institution": institution,
        "fold": fold,
        "shots": len(supports),
        "seed": trained_on.seed if trained_on else None,
        "postprocess": None,
        "legacy": sorted({*(trained_on.legacy if trained_on else ()), *(prepared.legacy if prepared else ())}),
        "summary": summarise(records, list(organs), {n: 0 if n in known else len(queries) for n in organs}),
        "cases": records,
        "provenance": {
            "note": PROTOCOLS[protocol],
            "queries": [query.id for query in queries],
            "supports": [support.id for support in supports],
            "own_support": support_ids is None,
            "checksums": checksums,
            "allow_seen": allow_seen,
            "seen_in_training": seen,
            **_method_provenance(method),
            "versions": runtime.versions(),
            "machine": runtime.machine() | {"device": str(device or "cpu")},
            "seconds_by_query": {case: round(value, 3) for case, value in seconds.items()},
            "seconds": round(time.perf_counter() - began, 3),
        },
    }


def _require_plain(
    protocol: str, setting: int, institution: str | None, support_ids: Sequence[str] | None, shots: int
) -> None:
    """Refuse what a learned network ignores."""
    what = "a learned network is evaluated by the protocol"
    require(protocol == COHORT, f"{what} {COHORT}, not {protocol}", f"give {COHORT}", code="cohort-only")
    what = "a learned network has its labelled scans already"
    require(support_ids is None and shots == 1, what, "choose none", code="cohort-supports")
    require(setting == 1 and institution is None, f"{COHORT} with a setting or institution", "leave them out")


def predict_query(
    predictor: Predictor, query: Case, protocol: str, values: Sequence[int]
) -> tuple[Volume, dict[int, Counted], dict[int, Mask]]:
    """Segment one query under a protocol.

    Only EP1 reads the query's labels; the method learns from them only which slices count.

    Returns:
        the image; the slices that count, by label value; and the masks in those slices, (Q, Y, X) each.

    Raises:
        InputError: the query can't be segmented.
    """
    image = query.image()
    if protocol in protocols.TOLD:
        labels = query.labels(image).array_zyx
        counted = {value: protocols.TOLD[protocol](labels == value) for value in values}
    else:
        counted = dict.fromkeys(values, protocols.whole_counted(len(image.array_zyx)))
    try:
        return image, counted, predictor.predict(image, counted)
    except InputError as error:
        raise InputError(f"case {query.id}: {error.what}", error.remedy) from error


def seen_cases(trained_on: TrainingRecord, dataset_name: str, checksums: Mapping[str, str]) -> list[str]:
    """Ids of the cases that training saw: the same file, or the same id of the same data set."""
    files = set(trained_on.cases.values())
    # Cases that initial weights saw in another data set are recorded as `<dataset>/<id>`.
    known = {tuple(f"{trained_on.dataset}/{key}".split("/")[-2:]) for key in trained_on.cases}
    return [case for case, checksum in checksums.items() if checksum in files or (dataset_name, case) in known]


def _require_setting_2(trained_on: TrainingRecord, group: str | None) -> None:
    """Setting 2 needs weights that were trained in Setting 2 for the same group."""
    if trained_on.setting == 1:
        raise LeakageError(
            "the weights were trained in Setting 1, where slices with the test classes were visible",
            f"train in Setting 2 for group {group}, or allow_seen=True",
            code="seen-setting-1",
            group=group,
        )
    if trained_on.setting == 2 and trained_on.group != group:
        raise LeakageError(
            f"the weights were trained for group {trained_on.group}, not {group}",
            f"train for group {group}, or allow_seen=True",
            code="seen-group",
            group=group,
        )


def _whole(mask: Mask, counted: Counted, image: Volume) -> Mask:
    """A mask of the slices that count as one of the whole scan, empty elsewhere."""
    whole = np.zeros(image.array_zyx.shape, dtype=bool)
    whole[counted.slices] = mask
    return whole


def _method_provenance(method: ComparingMethod) -> dict[str, Any]:
    """The method's settings and what it was trained on (nothing for registration)."""
    if isinstance(method, UntrainedMethod):
        return {"weights_sha256": None, "trained_on": None, "model": asdict(method.settings)}
    return {
        "weights_sha256": method.sha256,
        "trained_on": asdict(method.trained_on),
        "model": model_record(method.config),
    }
