"""Is the scan that `psmnet suggest` names worth labelling? Against every other choice.

    python benchmarks/whole_scan.py DATA --pairs all --out pairs.json
    python benchmarks/suggestion.py DATA pairs.json --sets 8 --out runs/suggestion.json

Of a choice counts the mean Dice of all other scans, segmented from it. The gap is that between the mean of all choices
and the best one. As twenty scans allow one choice only, the same is reckoned for random subsets of them, too. Sets of
three are segmented here: the suggested one, and random ones.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from psmnet import Segmenter, find_cases, load_weights, score
from psmnet.catalog import DataSet, dataset
from psmnet.data import Case
from psmnet.runtime import machine, versions
from psmnet.segmentation import ScanEncoder, agreements, body_points, choose_scans
from psmnet.system import read_json, write_json
from psmnet.volume import Array

SUBSETS, SIZES = 2000, (6, 10, 15)
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("pairs", type=Path, help="what whole_scan.py --pairs all wrote")
    parser.add_argument("--dataset", default="chaos-t2")
    parser.add_argument("--sets", type=int, default=8, help="random sets of three")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    random = np.random.default_rng(0)
    pairs, cases, facts = read_json(options.pairs), find_cases(options.data), dataset(options.dataset)
    dice = _matrix(pairs["records"], [case.id for case in cases])
    weights = load_weights("bundled")
    encoder = ScanEncoder(weights, CPU, [cases[0].image()])
    held = agreements([body_points(encoder, case.image()) for case in cases], list(range(len(cases))))
    everyone = np.arange(len(cases))
    worth, told = _off_diagonal(dice).mean(axis=1), _off_diagonal(held).mean(axis=1)
    (best,) = choose_scans(held, everyone, 1).chosen
    figures: dict[str, Any] = {
        "suggested": cases[best].id,
        "dice": {"suggested": worth[best], "mean": worth.mean(), "best": worth.max(), "worst": worth.min()},
        "share_of_gap": _closed(dice, held, everyone),
        "spearman": spearmanr(worth, told)[0],
        "share_of_gap_in_subsets": {
            size: np.mean([_closed(dice, held, random.choice(everyone, size, replace=False)) for _ in range(SUBSETS)])
            for size in SIZES
        },
        "by_case": {case.id: {"dice": worth[i], "agreement": told[i]} for i, case in enumerate(cases)},
    }
    print(figures, flush=True)
    drawn = (random.choice(everyone, 3, replace=False) for _ in range(options.sets))
    sets = [sorted(chosen) for chosen in (choose_scans(held, everyone, 3).chosen, *drawn)]
    figures["of_three"] = []
    for number, chosen in enumerate(sets):
        found = _dice_of_set([cases[i] for i in chosen], [c for i, c in enumerate(cases) if i not in chosen], facts)
        figures["of_three"].append({"supports": [cases[i].id for i in chosen], "suggested": not number, "dice": found})
        print(figures["of_three"][-1], flush=True)
    write_json(
        options.out,
        _rounded(figures) | {"weights_sha256": weights.sha256, "versions": versions(), "machine": machine()},
    )


def _matrix(records: Sequence[dict[str, Any]], ids: Sequence[str]) -> Array:
    """Mean Dice of the organs of each query (column) from each support (row)."""
    dice = np.full((len(ids), len(ids)), np.nan)
    for record in records:
        found = [d for d in record["dice"].values() if d is not None]
        dice[ids.index(record["support"]), ids.index(record["case"])] = np.mean(found)
    return dice


def _off_diagonal(square: Array) -> Array:
    """Each row without its own column."""
    return square[~np.eye(len(square), dtype=bool)].reshape(len(square), -1)


def _closed(dice: Array, held: Array, chosen: Array) -> float:
    """Share of the gap between the mean and the best choice that the suggestion closes, among some scans."""
    among = np.ix_(chosen, chosen)
    worth = _off_diagonal(dice[among]).mean(axis=1)
    first = choose_scans(held[among], np.arange(len(chosen)), 1).chosen[0]
    return float((worth[first] - worth.mean()) / (worth.max() - worth.mean()))


def _dice_of_set(supports: Sequence[Case], queries: Sequence[Case], facts: DataSet) -> float:
    values = [facts.labels[name] for name in facts.tested]
    segmenter = Segmenter.from_pretrained("cpu")
    segmenter.set_support([(case.image(), case.labels()) for case in supports], values)
    means = []
    for query in queries:
        mask, truth = segmenter.segment(query.image()), query.labels().array_zyx
        scores = [score(mask.array_zyx == v, truth == v, mask.spacing_mm).dice for v in values if (truth == v).any()]
        means.append(np.mean(scores))
    return float(np.mean(means))


def _rounded(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {str(key): _rounded(value) for key, value in figures.items()}
    if isinstance(figures, list):
        return [_rounded(value) for value in figures]
    return round(float(figures), 4) if isinstance(figures, float) else figures


if __name__ == "__main__":
    main()
