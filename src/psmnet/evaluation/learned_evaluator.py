"""Evaluation of a learned network by the protocol `cohort`: on whole scans, without a labelled one."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from psmnet.catalog import dataset
from psmnet.data import Case, choose, read_dataset_file, split_data, tested_organs
from psmnet.errors import InputError, LeakageError
from psmnet.evaluation.cohort_results import LearnedFrom, cohort_results
from psmnet.io import read_scan
from psmnet.learning import FINAL, STAGES
from psmnet.segmentation import LearnedSegmenter, LearnedWeights
from psmnet.volume import Volume, content_digest

STUDENT = STAGES[2]


def evaluate_learned(
    weights: LearnedWeights,
    cases: Sequence[Case],
    *,
    dataset_name: str,
    fold: int,
    folds: str = "ouyang",
    allow_seen: bool = False,
    device: torch.device,
    masks: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Score a learned network on one fold.

    Whether its figures are transductive, with queries in the cohort that it learned from, is found by the scans'
    content.

    Args:
        weights: the network.
        cases: all cases of the data set, sorted.
        dataset_name, fold, folds: as `evaluate` takes them.
        allow_seen: evaluate even if a query, or a copy of it, is one of the labelled scans; the result records it.
        device: where the network runs.
        masks: folder for the predictions, one binary mask per case and organ.
        report: called with the id of each query when it is done.

    Returns:
        The content of a results file, ready for JSON.

    Raises:
        ConfigError: unknown fold or scheme of folds.
        LeakageError: a query is one of the labelled scans.
        InputError: the network learned none of the tested organs, or a query can't be segmented.
    """
    began = time.perf_counter()
    facts, prepared = dataset(dataset_name), read_dataset_file(cases[0].image_path.parent)
    split = split_data(facts, cases, prepared, fold, folds=folds)
    queries = choose(cases, split.test)
    taught, checksums = weights.taught_by, {case.id: case.checksum() for case in cases}
    supports = [case for case in cases if checksums[case.id] in taught.labelled]
    contents = {query.id: _content(query) for query in queries}
    labelled = {_content(case) for case in supports}
    seen = [query.id for query in queries if query in supports or contents[query.id] in labelled]
    if seen and not allow_seen:
        raise LeakageError(
            f"the network learned from the labels of case {', '.join(seen)}",
            "evaluate it on another fold, or allow_seen=True",
            code="seen",
        )
    organs = tested_organs(facts, 1, None, list(weights.organs), prepared.names() if prepared else {})
    known = {name: value for name, value in organs.items() if value in weights.organs}
    if not known:
        raise InputError("the network learned none of the tested organs", "choose another data set")
    segmenter = LearnedSegmenter(weights, device)
    found: dict[str, Volume] = {}
    for query in queries:
        try:
            found[query.id] = segmenter.segment(query.image())
        except InputError as error:
            raise InputError(f"case {query.id}: {error.what}", error.remedy) from error
        if report is not None:
            report(query.id)
    in_cohort = {case: checksums[case] for case, content in contents.items() if content in taught.cohort}
    transductive = (STUDENT, "transductive") if in_cohort else (FINAL, "inductive")
    elsewhere = [sha for sha in taught.labelled if sha not in checksums.values()]
    learned = LearnedFrom(
        method="learn" if taught.cohort else STUDENT,
        variant=",".join(transductive) if taught.cohort else None,
        supports={case.id: checksums[case.id] for case in supports} | {sha[:12]: sha for sha in elsewhere},
        cohort=in_cohort,
        settings={},
        steps=taught.steps,
        seed=taught.seed,
        start_weights=taught.init,
        weights_sha256=weights.sha256,
    )
    results = cohort_results(
        learned,
        found,
        queries,
        organs,
        known,
        dataset_name=dataset_name,
        prepared=prepared,
        folds=folds,
        fold=fold,
        own_support=tuple(case.id for case in supports) == split.support and not elsewhere,
        device=str(device),
        keep=masks,
    )
    results["provenance"] |= {
        "allow_seen": allow_seen,
        "seen_in_training": seen,
        "seconds": round(time.perf_counter() - began, 3),
    }
    return results


def _content(case: Case) -> str:
    """As learning takes it: of the whole file."""
    return content_digest(read_scan(case.image_path).volume)
