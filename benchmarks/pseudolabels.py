"""Superpixels and supervoxels of a labelled data set: how many, how much of the scan, and what they leave out.

python benchmarks/pseudolabels.py DATA --dataset chaos-t2 --out runs/pseudolabels_chaos.json
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from psmnet.catalog import dataset
from psmnet.data import find_cases
from psmnet.data.pseudolabels import KINDS, PseudolabelRule
from psmnet.runtime import machine, versions
from psmnet.system import write_json
from psmnet.volume import body_mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = dataset(options.dataset)
    rows: list[dict[str, Any]] = []
    print("| case | kind | ids in a slice (least, median, most) | body covered | labelled voxels inside | empty |")
    print("|---|---|---|---|---|---|")
    for case in find_cases(options.data):
        image = case.image()
        labelled = case.labels(image).array_zyx > 0
        body = body_mask(image.array_zyx, facts.body_threshold, image.spacing_mm)
        for kind in KINDS:
            ids = PseudolabelRule.of(facts, kind).make(image)
            counts = [len(np.unique(slice_ids[slice_ids > 0])) for slice_ids in ids]
            # Contiguous ids: an empty one would be a gap, in the slice (superpixels) or in the scan (supervoxels).
            parts = list(ids) if kind == "superpixels" else [ids]
            empty = sum(int(part.max()) - len(np.unique(part[part > 0])) for part in parts)
            row = {
                "case": case.id,
                "kind": kind,
                "ids_by_slice": counts,
                "slices_without": counts.count(0),
                "ids": int(ids.max()) if kind == "supervoxels" else sum(counts),
                "body_covered": float((ids > 0)[body].mean()),
                "labelled_inside": float((ids > 0)[labelled].mean()),
                "empty_ids": empty,
            }
            rows.append(row)
            print(
                f"| {case.id} | {kind} | {min(counts)}, {np.median(counts):g}, {max(counts)} | "
                f"{row['body_covered']:.3f} | {row['labelled_inside']:.5f} | {empty} |",
                flush=True,
            )
    write_json(options.out, {"rows": rows, "machine": machine(), "versions": versions()})


if __name__ == "__main__":
    main()
