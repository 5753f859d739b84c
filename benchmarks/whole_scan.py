"""Whole-scan segmentation (what `psmnet segment` does), beside registration, and whether it knows where it errs.

    python benchmarks/whole_scan.py DATA --registration --out runs/whole_scan.json       each fold's own support
    python benchmarks/whole_scan.py DATA --pairs all --out runs/whole_scan_pairs.json    each case by each other
    python benchmarks/whole_scan.py DATA --bfloat16 --out FILE                               half precision beside it

Nothing of the query is known but its image. `--weights 'runs/fold{fold}'` takes each fold's own. Times are of one scan,
the methods one after another on each; the support's share is told apart.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from psmnet import Segmenter, find_cases, score
from psmnet.catalog import DataSet, dataset
from psmnet.data import Case, choose, split_cases
from psmnet.models import load_weights
from psmnet.runtime import machine, versions
from psmnet.segmentation import Registration, RegistrationSettings, Segmentation
from psmnet.system import write_json
from psmnet.volume import Array

BINS = 20  # of uncertainty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dataset", default="chaos-t2")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--pairs", choices=("folds", "all"), default="folds")
    parser.add_argument("--registration", action="store_true", help="affine, and affine + B-spline, beside it")
    parser.add_argument("--bfloat16", action="store_true", help="--precision bfloat16 beside it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases, facts = find_cases(options.data), dataset(options.dataset)
    records: list[dict[str, Any]] = []
    for fold, support, queries in _rounds(cases, facts, options.pairs):
        methods: dict[str, Segmenter | Registration] = {
            "psmnet": Segmenter.from_checkpoint(options.weights.format(fold=fold))
        }
        if options.bfloat16:
            weights = load_weights(options.weights.format(fold=fold))
            methods["bfloat16"] = Segmenter(weights, torch.device("cpu"), "bfloat16")
        if options.registration:
            methods |= {"affine": Registration(RegistrationSettings(spline=False)), "affine + B-spline": Registration()}
        for method in methods.values():
            method.set_support([(support.image(), support.labels())], [facts.labels[n] for n in facts.tested])
        for query in queries:
            for name, method in methods.items():
                records.append({"fold": fold, "support": support.id, "method": name, **_score(method, query, facts)})
                told = {organ: None if d is None else round(d, 3) for organ, d in records[-1]["dice"].items()}
                print(fold, support.id, query.id, name, told, f"{records[-1]['seconds']:.1f} s", flush=True)
    summary = {name: _summary([r for r in records if r["method"] == name]) for name in methods}
    for name, figures in summary.items():
        print(name, figures)
    facts_of = methods["psmnet"]
    assert isinstance(facts_of, Segmenter)
    write_json(
        options.out,
        {
            "dataset": options.dataset,
            "weights": options.weights,
            "weights_sha256": facts_of.weights.sha256 if "{fold}" not in options.weights else None,
            "summary": summary,
            "records": records,
            "versions": versions(),
            "machine": machine(),
        },
    )


def _rounds(cases: Sequence[Case], facts: DataSet, pairs: str) -> list[tuple[int | None, Case, list[Case]]]:
    """Fold, support, queries."""
    if pairs == "all":
        return [(None, support, [case for case in cases if case is not support]) for support in cases]
    ids = [case.id for case in cases]
    splits = [split_cases(facts, ids, fold=fold) for fold in range(5)]
    return [(fold, choose(cases, split.support)[0], choose(cases, split.test)) for fold, split in enumerate(splits)]


def _score(method: Segmenter | Registration, query: Case, facts: DataSet) -> dict[str, Any]:
    image, reference = query.image(), query.labels().array_zyx
    began = time.perf_counter()
    found = method.examine(image)
    seconds = time.perf_counter() - began
    labels = found.labels.array_zyx
    dice = {
        name: score(labels == facts.labels[name], reference == facts.labels[name], image.spacing_mm).dice
        for name in facts.tested
    }
    record = {
        "case": query.id,
        "dice": dice,
        "confidence": {name: round(found.confidence[facts.labels[name]], 4) for name in facts.tested},
        "slices": len(labels),
        "seconds": round(seconds, 2),
    }
    return record if found.foreground is None else record | _by_uncertainty(found, labels, reference, facts)


def _by_uncertainty(found: Segmentation, labels: Array, reference: Array, facts: DataSet) -> dict[str, list[int]]:
    """Voxels of each bin of uncertainty, and those that are wrong; where no label was looked for is left out."""
    assert found.foreground is not None
    tested = np.where(np.isin(reference, [facts.labels[name] for name in facts.tested]), reference, 0)
    looked = found.foreground > 0
    bins = np.minimum((found.uncertainty().array_zyx[looked] * BINS).astype(int), BINS - 1)
    wrong = (labels != tested)[looked]
    return {
        "voxels": np.bincount(bins, minlength=BINS).tolist(),
        "wrong": np.bincount(bins, wrong, BINS).astype(int).tolist(),
    }


def _summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean Dice by organ over all, by fold, time, and how confidence and uncertainty go with errors."""
    organs = list(records[0]["dice"])
    folds = sorted({r["fold"] for r in records if r["fold"] is not None})
    summary: dict[str, Any] = {
        "by_organ": {organ: _mean(r["dice"][organ] for r in records) for organ in organs},
        "by_fold": [_mean(d for r in records if r["fold"] == fold for d in r["dice"].values()) for fold in folds],
        "seconds": round(float(np.median([r["seconds"] for r in records])), 2),
    }
    summary["mean"] = _mean(summary["by_fold"] or summary["by_organ"].values())
    pairs = [
        (r["confidence"][organ], r["dice"][organ]) for r in records for organ in organs if r["dice"][organ] is not None
    ]
    if "voxels" in records[0]:
        voxels, wrong = (np.sum([r[key] for r in records], axis=0) for key in ("voxels", "wrong"))
        summary |= {
            "confidence_against_dice": round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3),
            "dice_by_confidence": _thirds(pairs),
            "error_by_uncertainty": [round(float(w / v), 4) if v else None for v, w in zip(voxels, wrong, strict=True)],
            "auroc_of_uncertainty": round(_auroc(voxels - wrong, wrong), 3),
        }
    return summary


def _mean(values: Any) -> float:
    return round(float(np.mean([value for value in values if value is not None])), 4)


def _thirds(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Mean Dice of the least, the middling and the most confident third of all organs in all scans."""
    dice = np.array(sorted(pairs))[:, 1]
    return [round(float(part.mean()), 4) for part in np.array_split(dice, 3)]


def _auroc(right: Array, wrong: Array) -> float:
    """How often a wrong voxel's bin is above a right one's, ties half."""
    below = np.cumsum(right) - right
    return float((wrong * (below + right / 2)).sum() / (right.sum() * wrong.sum()))


if __name__ == "__main__":
    main()
