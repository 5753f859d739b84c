"""Dice of whole-scan segmentation (what `psmnet segment` does) from one labelled case to others.

    python benchmarks/whole_scan.py DATA --weights RUN --support 8 --queries 1,2,3,5 --out results/whole_scan.json

Nothing of the query is known but its image: no slice range, no organ.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from psmnet import Segmenter, find_cases, score
from psmnet.catalog import dataset
from psmnet.data.store import choose
from psmnet.files import write_json
from psmnet.runtime import machine, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dataset", default="chaos-t2")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--support", required=True, help="case ids, comma-separated")
    parser.add_argument("--queries", required=True, help="case ids, comma-separated")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases, facts = find_cases(options.data), dataset(options.dataset)
    segmenter = Segmenter.from_checkpoint(options.weights)
    supports = choose(cases, options.support.split(","))
    segmenter.set_support([(case.image(), case.labels()) for case in supports], [facts.labels[n] for n in facts.tested])
    records = []
    for case in choose(cases, options.queries.split(",")):
        image, reference = case.image(), case.labels().array_zyx
        began = time.perf_counter()
        found = segmenter.segment(image).array_zyx
        seconds = time.perf_counter() - began
        dice = {
            name: score(found == facts.labels[name], reference == facts.labels[name], image.spacing_mm).dice
            for name in facts.tested
        }
        records.append({"case": case.id, "dice": dice, "slices": len(found), "seconds": round(seconds, 2)})
        print(case.id, {name: None if d is None else round(d, 3) for name, d in dice.items()}, f"{seconds:.1f} s")
    means = {n: float(np.mean([r["dice"][n] for r in records if r["dice"][n] is not None])) for n in facts.tested}
    print("mean", {name: round(d, 3) for name, d in means.items()}, round(float(np.mean(list(means.values()))), 4))
    write_json(
        options.out,
        {
            "dataset": options.dataset,
            "support": [case.id for case in supports],
            "weights_sha256": segmenter.weights.sha256,
            "trained_on": vars(segmenter.weights.trained_on),
            "mean_by_label": means,
            "mean": float(np.mean(list(means.values()))),
            "cases": records,
            "versions": versions(),
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
