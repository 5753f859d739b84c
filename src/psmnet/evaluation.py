"""Evaluation by the field's protocols; results as plain JSON values (schema of protocols.md)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from psmnet import protocols, runtime
from psmnet.catalog import dataset
from psmnet.checkpoint import TrainingRecord, Weights
from psmnet.data.dataset_file import read_dataset_file
from psmnet.data.store import Case, choose, unlabelled
from psmnet.errors import InputError, LeakageError
from psmnet.inference import encode_slices, mask_tensor, match_slices, slice_tensor
from psmnet.metrics import score
from psmnet.results import SCHEMA, summarise
from psmnet.types import Features, Support, concatenate
from psmnet.volume import Array, Volume


def evaluate(
    weights: Weights,
    cases: Sequence[Case],
    *,
    dataset_name: str,
    fold: int,
    folds: str = "ouyang",
    institution: str | None = None,
    setting: int = 1,
    group: str | None = None,
    support_ids: Sequence[str] | None = None,
    shots: int = 1,
    allow_seen: bool = False,
    device: torch.device | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Score weights on one fold by EP1.

    Args:
        weights: network and normalisation.
        cases: all cases of the data set, sorted.
        dataset_name: in the catalog.
        fold: its cases are the queries; of Li's folds, its structures are tested.
        folds: scheme of the folds, in `catalog.FOLDS`.
        institution: held out by Li's folds.
        setting, group: decide the organs tested.
        support_ids: support cases instead of those the fold names.
        shots: number of support cases that the fold names.
        allow_seen: go on, and say so in the result, where training saw a test or support case.
        device: CPU by default.
        report: told each query's id when it is done.

    Returns:
        A results record, ready for JSON.

    Raises:
        LeakageError: training saw a test or support case.
        InputError: no support has any of the organs tested, or one is a query.
    """
    began = time.perf_counter()
    device = device or torch.device("cpu")
    facts = dataset(dataset_name)
    protocols.excluded_classes(facts, setting, group)
    if setting == 2 and weights.trained_on.setting == 1 and not allow_seen:
        raise LeakageError(
            "the weights were trained in Setting 1, where slices with the test classes were visible",
            f"train with --setting 2 --group {group}, or add --allow-seen",
        )
    if setting == 2 and weights.trained_on.setting == 2 and weights.trained_on.group != group and not allow_seen:
        raise LeakageError(
            f"the weights were trained for group {weights.trained_on.group}, not {group}",
            f"train with --group {group}, or add --allow-seen",
        )
    prepared = read_dataset_file(cases[0].image_path.parent)
    split = protocols.split_cases(
        facts,
        [case.id for case in cases],
        fold,
        shots,
        folds=folds,
        unlabelled=unlabelled(facts, cases),
        institutions=prepared.institutions() if prepared else None,
        institution=institution,
    )
    supports = choose(cases, dict.fromkeys(support_ids or split.support))
    queries = [case for case in choose(cases, split.test) if case.id not in {s.id for s in supports}]
    if len(queries) < len(split.test):
        raise InputError(f"support {', '.join(s.id for s in supports)} is in fold {fold}", "choose another support")
    checksums = {case.id: case.checksum() for case in [*queries, *supports]}
    seen = seen_cases(weights.trained_on, dataset_name, checksums)
    if seen and not allow_seen:
        raise LeakageError(
            f"the weights were trained on case {', '.join(seen)}", "use weights of this fold, or --allow-seen"
        )

    support_images = [case.image() for case in supports]
    references = [c.labels(image).array_zyx for c, image in zip(supports, support_images, strict=True)]
    present = sorted({int(v) for labels in references for v in np.unique(labels)} - {0})
    organs = (
        protocols.novel_classes(facts, fold)
        if folds == "li"
        else protocols.tested_organs(facts, setting, group, present, prepared.names() if prepared else {})
    )
    if not set(organs.values()) & set(present):
        raise InputError(
            f"support {', '.join(case.id for case in supports)} has none of the organs tested", "choose another support"
        )
    matcher = _Ep1(weights, support_images, references, sorted(set(organs.values()) & set(present)), device)
    records: list[dict[str, Any]] = []
    not_evaluated = dict.fromkeys(organs, 0)
    seconds: dict[str, float] = {}
    for query in queries:
        started = time.perf_counter()
        image = query.image()
        labels = query.labels(image)
        features = matcher.encode(image.array_zyx)
        for name, value in organs.items():
            reference = labels.array_zyx == value
            if value not in matcher.supports:
                not_evaluated[name] += 1
                continue
            slices, prediction = matcher.segment(features, value, reference)
            if len(slices) == 0:  # EP1 makes no record of an organ that the query lacks
                continue
            scores = score(prediction, reference[slices[0] : slices[-1] + 1], labels.spacing_mm)
            records.append({"case": query.id, "label": name, "slices": len(slices), **asdict(scores)})
        seconds[query.id] = time.perf_counter() - started
        if report is not None:
            report(query.id)
    return {
        "schema": SCHEMA,
        "method": weights.config.method,
        "variant": weights.variant,
        "dataset": dataset_name,
        "protocol": "ep1",
        "setting": setting,
        "group": group,
        "setting2": weights.trained_on.setting2,
        "folds": folds,
        "institution": institution,
        "fold": fold,
        "shots": len(supports),
        "seed": weights.trained_on.seed,
        "postprocess": None,
        "legacy": sorted({*weights.trained_on.legacy, *(prepared.legacy if prepared else ())}),
        "summary": summarise(records, list(organs), not_evaluated),
        "cases": records,
        "provenance": {
            "note": "EP1 is told where each organ begins and ends in the query.",
            "queries": [query.id for query in queries],
            "supports": [support.id for support in supports],
            "checksums": checksums,
            "allow_seen": allow_seen,
            "seen_in_training": seen,
            "weights_sha256": weights.sha256,
            "trained_on": asdict(weights.trained_on),
            "model": asdict(weights.config),
            "versions": runtime.versions(),
            "machine": runtime.machine(),
            "seconds_by_query": {case: round(value, 3) for case, value in seconds.items()},
            "seconds": round(time.perf_counter() - began, 3),
        },
    }


def seen_cases(trained_on: TrainingRecord, dataset_name: str, checksums: dict[str, str]) -> list[str]:
    """Ids of the cases that training saw: the same file, or the same id of the same data set."""
    files = set(trained_on.cases.values())
    # Cases that initial weights saw in another data set are recorded as `<dataset>/<id>`.
    known = {tuple(f"{trained_on.dataset}/{key}".split("/")[-2:]) for key in trained_on.cases}
    return [case for case, checksum in checksums.items() if checksum in files or (dataset_name, case) in known]


class _Ep1:
    """EP1's matching: three support slices, three parts of the query's organ."""

    def __init__(
        self,
        weights: Weights,
        images: Sequence[Volume],
        references: Sequence[Array],
        values: Sequence[int],
        device: torch.device,
    ) -> None:
        self.model: Any = weights.model.to(device)
        self.weights = weights
        self.device = device
        self.references = references
        self.features = [self.encode(image.array_zyx) for image in images]
        self.supports = {value: self._describe(value) for value in values}

    def encode(self, array_zyx: Array) -> Features:
        images = slice_tensor(array_zyx, self.weights.normalisation, self.weights.config.input_size)
        return encode_slices(self.model, images, self.device)

    def segment(
        self, features: Features, value: int, reference: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Query slices that count (Q,), and the organ's mask in them (Q, Y, X)."""
        slices, parts = protocols.ep1_parts(reference)
        if len(slices) == 0:
            return slices, reference[:0]
        prediction = np.zeros((len(slices), *reference.shape[1:]), dtype=bool)
        chosen = features[torch.from_numpy(slices)]
        for chunk, margin in match_slices(self.model, chosen, self.supports[value], torch.from_numpy(parts)):
            # Logits return to the stored grid before the decision (protocols.md).
            stored = functional.interpolate(margin, size=reference.shape[1:], mode="bilinear", align_corners=False)
            prediction[chunk] = (stored[:, 0] > 0).cpu().numpy()
        return slices, prediction

    @torch.no_grad()
    def _describe(self, value: int) -> Support:
        """Part k joins slice k of every support scan that has the organ."""
        described = []
        for labels, features in zip(self.references, self.features, strict=True):
            organ = labels == value
            if organ.any():
                numbers = protocols.ep1_support_slices(organ)
                masks = mask_tensor(labels[numbers], [value]).to(self.device)
                described.append(self.model.describe(features[torch.from_numpy(numbers)], masks))
        return concatenate(described)
