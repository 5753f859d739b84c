"""What each part gives, with the same weights: EP1 Dice of one fold over several support scans, one row a variant.

A variant is settings changed after training, after `METHOD:` where slices are to be compared as another method does,
and `margin=M` where M is to be added to every background logit: it tells a better ranking from a better threshold.

python benchmarks/ablation.py DATA --weights RUN --supports 8,10,13,15,19 --out runs/ablation.json
python benchmarks/ablation.py DATA --weights RUN --supports 8,10,13,15,19 --variants "margin=0.5;alpnet:margin=0.5" ...
"""

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from psmnet import evaluate, find_cases, load_weights
from psmnet.models import Features, Prediction, Support, model_record
from psmnet.runtime import machine, versions
from psmnet.system import write_json

VARIANTS = (
    "",
    "split_rounds=0",
    "split_rounds=1",
    "split_rounds=5",
    "split_foreground=false",
    "minimal_area=1",
    "weigh_area_at_inference=true",
    "grid_at_inference=0",
    "grid_at_inference=4",
    "grid_at_inference=0 split_rounds=0",
)


class Remembering:
    """An encoder's verb that encodes a batch of slices once for all variants: they differ after it."""

    def __init__(self, encode: Callable[[Tensor], Features]) -> None:
        self.encode = encode
        self.known: dict[bytes, Features] = {}

    def __call__(self, images: Tensor) -> Features:
        """Images (B, 1, H, W) to features, from memory where they have been seen."""
        key = hashlib.sha256(images.numpy().tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.encode(images)
        return self.known[key]


def with_margin(match: Callable[[Features, Support], Prediction], margin: float) -> Callable[..., Prediction]:
    """A method's verb that demands more of foreground by `margin`, in logits."""

    def matched(features: Features, support: Support) -> Prediction:
        prediction = match(features, support)
        logits = prediction.logits + prediction.logits.new_tensor([margin, 0.0])[:, None, None]
        return Prediction(logits, prediction.extra_losses)

    return matched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dataset", default="chaos-t2")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--supports", required=True, help="case ids, comma-separated")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="see above; separated by ;")
    parser.add_argument("--allow-seen", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases, supports = find_cases(options.data), options.supports.split(",")
    rows, remembering = [], None
    print("| variant | mean Dice | by support | precision | recall |\n|---|---|---|---|---|")
    for variant in options.variants.split(";"):
        method, _, rest = variant.rpartition(":")
        margins = [text for text in rest.split() if text.startswith("margin=")]
        settings = [text for text in rest.split() if text not in margins]
        weights = load_weights(options.weights, method or None, changes=settings)
        if remembering is None:
            remembering = Remembering(weights.model.encode)
        weights.model.encode = remembering
        for margin in margins:
            weights.model.match = with_margin(weights.model.match, float(margin.removeprefix("margin=")))
        found = [
            evaluate(
                weights,
                cases,
                dataset_name=options.dataset,
                fold=options.fold,
                support_ids=[support],
                allow_seen=options.allow_seen,
            )["summary"]
            for support in supports
        ]
        mean = {m: float(np.mean([s["mean"][m] for s in found])) for m in ("dice", "precision", "recall")}
        dice = {support: s["mean"]["dice"] for support, s in zip(supports, found, strict=True)}
        organs = {o: float(np.mean([s["by_label"][o]["dice"] for s in found])) for o in found[0]["by_label"]}
        rows.append({"variant": variant, "mean": mean, "dice_by_support": dice, "dice_by_label": organs})
        cells = " ".join(f"{value:.3f}" for value in dice.values())
        print(
            f"| {variant or 'as trained'} | {mean['dice']:.3f} | {cells} | {mean['precision']:.3f} "
            f"| {mean['recall']:.3f} |",
            flush=True,
        )
    write_json(
        options.out,
        {
            "dataset": options.dataset,
            "fold": options.fold,
            "protocol": "ep1",
            "supports": supports,
            "weights_sha256": weights.sha256,
            "model": model_record(load_weights(options.weights).config),
            "trained_on": vars(weights.trained_on),
            "rows": rows,
            "versions": versions(),
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
