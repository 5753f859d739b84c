"""Results of the protocol `cohort`: masks of a learning, scored on whole scans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psmnet import runtime
from psmnet.catalog import PROTOCOLS
from psmnet.data import Case, DatasetFile
from psmnet.errors import InputError
from psmnet.evaluation.metrics import score
from psmnet.evaluation.results_schema import SCHEMA, mask_path, summarise
from psmnet.io import write_volume
from psmnet.volume import Volume

COHORT = "cohort"


@dataclass(frozen=True)
class LearnedFrom:
    """What masks were learned from, as results record it.

    Attributes:
        method, variant: as in a table.
        supports: id of each labelled scan to its checksum.
        cohort: id of each unlabelled scan to its checksum.
        copies: ids of cases that are copies of a labelled scan or of a query and took no part.
        failed: id of each scan of the cohort that could not be used to the reason.
        settings: of the learning.
        steps, seed: of the student's training, of all rounds.
        start_weights: SHA-256 of the weights that it began with.
        weights_sha256: of the learned network.
        seconds: that the learning took.
    """

    method: str
    variant: str | None
    supports: Mapping[str, str]
    cohort: Mapping[str, str]
    settings: Mapping[str, Any]
    steps: int
    seed: int
    start_weights: str | None
    weights_sha256: str | None
    copies: Sequence[str] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def cohort_results(
    learned: LearnedFrom,
    masks: Mapping[str, Volume],
    queries: Sequence[Case],
    organs: Mapping[str, int],
    known: Mapping[str, int],
    *,
    dataset_name: str,
    prepared: DatasetFile | None,
    folds: str,
    fold: int,
    own_support: bool,
    device: str,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Score label maps of whole scans; only now are labels of queries read.

    Args:
        learned: what the masks were learned from.
        masks: case to label map, on the image's grid.
        queries: cases to score; copies of a labelled scan are not among them.
        organs: that are tested, name to label value.
        known: those of them that a labelled scan has.
        dataset_name, folds, fold: which cases they are.
        prepared: dataset.json of the data, if there is one.
        own_support: whether the labelled scans are those that the fold names.
        device: where the network ran.
        keep: folder for the masks, one binary mask per case and organ.

    Returns:
        The content of a results file, ready for JSON.

    Raises:
        InputError: a query has no mask.
    """
    records: list[dict[str, Any]] = []
    for query in queries:
        if query.id not in masks:
            reason = learned.failed.get(query.id, "there is no mask of it")
            raise InputError(f"case {query.id} was not segmented: {reason}", "fix it, or leave it out of the data")
        image = query.image()
        labels, predicted = query.labels(image), masks[query.id].array_zyx
        for name, value in known.items():
            mask = predicted == value
            scores = score(mask, labels.array_zyx == value, labels.spacing_mm)
            records.append({"case": query.id, "label": name, "slices": len(mask), **scores.as_record()})
            if keep is not None:
                write_volume(image.with_array(mask.astype(np.uint8)), mask_path(keep, query.id, name))
    supports = dict(learned.supports)
    seen = [query.id for query in queries if query.id in learned.cohort]
    return {
        "schema": SCHEMA,
        "method": learned.method,
        "variant": learned.variant,
        "dataset": dataset_name,
        "protocol": COHORT,
        "setting": 1,
        "group": None,
        "setting2": None,
        "folds": folds,
        "institution": None,
        "fold": fold,
        "shots": len(learned.supports),
        "seed": learned.seed,
        "postprocess": None,
        "legacy": sorted(prepared.legacy) if prepared else [],
        "summary": summarise(records, list(organs), {n: 0 if n in known else len(queries) for n in organs}),
        "cases": records,
        "provenance": {
            "note": PROTOCOLS[COHORT],
            "queries": [query.id for query in queries],
            "supports": list(supports),
            "own_support": own_support,
            "checksums": {query.id: query.checksum() for query in queries} | supports,
            "queries_in_cohort": seen,
            "copies": list(learned.copies),
            "failed": dict(learned.failed),
            "weights_sha256": learned.weights_sha256,
            "trained_on": {
                "dataset": dataset_name,
                "cases": dict(learned.cohort) | supports,
                "method": learned.method,
                "pseudolabels": None,
                "preset": "student",
                "precision": "float32",
                "steps": learned.steps,
                "seed": learned.seed,
                "init": learned.start_weights,
            },
            "model": dict(learned.settings),
            "versions": runtime.versions(),
            "machine": runtime.machine() | {"device": device},
            "seconds": round(learned.seconds, 3),
        },
    }
