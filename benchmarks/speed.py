"""How near the bare encoder everything is: a volume, slices the published way, a training step; and how it all grows.

Ratios of medians of calls in turns, in one run; the bare encoder has the same images, batches, precision and threads.

python benchmarks/speed.py --threads 1 --out runs/speed.json
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psmnet import Segmenter, score
from psmnet.config import PRESETS, ModelConfig, TrainConfig
from psmnet.data.phantom import draw_patient
from psmnet.data.pseudolabels import PseudolabelRule
from psmnet.models import Episode, build_model, load_weights, settings_of
from psmnet.runtime import keep_memory, machine, pick_device, versions
from psmnet.segmentation import encode_slices, match_slices
from psmnet.system import read_json, write_json
from psmnet.training import SelfSupervisedEpisodes, SliceBank, episode_losses, train
from psmnet.volume import Normalisation, Volume

SLICES, SIZE, ORGANS = 36, 192, 4
BATCH = 16
REPEATS = 5
STEPS = 8  # of the training that is timed whole
GROWTH = {  # what is varied, the others as above and one labelled scan
    "slices": (18, 36, 72, 108),
    "organs": (1, 2, 3, 4, 5),
    "shots": (1, 2, 3, 4),
    "pixels": (128, 192, 256, 384),
}


def in_turns(
    *functions: Callable[[], object], repeats: int = REPEATS, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Median seconds of each function."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, seconds in zip(functions, times, strict=True):
            began = clock()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:  # the first warms up
                seconds.append(clock() - began)
    return [median(seconds) for seconds in times]


def patient(number: int, slices: int = SLICES, size: int = SIZE) -> tuple[Volume, Volume]:
    spacing_mm = (320 / size, 320 / size, 192 / slices)
    image, labels = draw_patient(number, shape_zyx=(slices, size, size), spacing_mm=spacing_mm)
    return image, labels


def ready(device: torch.device, precision: str, organs: int = ORGANS, shots: int = 1, **shape: int) -> Segmenter:
    """A segmenter with phantom patients as its support."""
    segmenter = Segmenter(load_weights("bundled"), device, precision)
    segmenter.set_support([patient(number, **shape) for number in range(1, shots + 1)], list(range(1, organs + 1)))
    return segmenter


def encoder_alone(model: Any, images: Tensor, half: bool) -> Callable[[], None]:
    @torch.no_grad()
    def run() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            for batch in images.split(BATCH):
                model.encoder(batch)

    return run


def volume(device: torch.device, precision: str) -> dict[str, Any]:
    """From arrays in memory to a label array, and what metrics of it take."""
    segmenter = ready(device, precision)
    query, labels = patient(9)
    images = torch.randn(SLICES, 1, SIZE, SIZE, device=device)
    bare = encoder_alone(segmenter.model, images, precision == "bfloat16")
    mask = segmenter.segment(query)

    def scores() -> None:
        for value in segmenter.label_values:
            score(mask.array_zyx == value, labels.array_zyx == value, query.spacing_mm)

    encoder, whole, metrics = in_turns(bare, lambda: segmenter.segment(query), scores)
    return {
        "precision": precision,
        "organs": ORGANS,
        "encoder_s_per_slice": encoder / SLICES,
        "s_per_slice": whole / SLICES,
        "ratio": whole / encoder,
        "metrics_share": metrics / whole,
    }


def published_way(device: torch.device) -> dict[str, Any]:
    """One query slice, one organ and one support slice at a time, each encoded again as in published test loops."""
    model: Any = load_weights("bundled").model.to(device)
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(SLICES, 1, SIZE, SIZE, generator=generator).to(device)
    supports = torch.randn(3, 1, SIZE, SIZE, generator=generator).to(device)
    masks = torch.zeros(3, ORGANS, SIZE, SIZE, device=device)
    for organ in range(ORGANS):
        masks[:, organ, 30 + 10 * organ : 80 + 10 * organ, 20 + 35 * organ : 55 + 35 * organ] = 1
    serving = torch.arange(SLICES) * 3 // SLICES

    @torch.no_grad()
    def published() -> Tensor:
        logits = torch.empty(SLICES, ORGANS, SIZE, SIZE)
        for organ in range(ORGANS):
            for number, support in enumerate(serving.tolist()):
                described = model.describe(
                    model.encode(supports[support : support + 1]), masks[support : support + 1, organ : organ + 1]
                )
                found = model.match(model.encode(queries[number : number + 1]), described).logits
                logits[number, organ] = (found[:, :, 1] - found[:, :, 0])[0, 0].cpu()
        return logits

    @torch.no_grad()
    def ours() -> Tensor:
        described = model.describe(encode_slices(model, supports, device), masks)
        features = encode_slices(model, queries, device)
        return torch.cat([margin.cpu() for _, margin in match_slices(model, features, described, serving)])

    apart = float((published() - ours()).abs().max())
    theirs, mine = in_turns(published, ours, repeats=3)
    return {
        "encodes_a_slice": {"published": 2 * ORGANS, "ours": 1 + 3 / SLICES},
        "published_s_per_slice": theirs / SLICES,
        "ours_s_per_slice": mine / SLICES,
        "times_as_fast": theirs / mine,
        "largest_difference_of_logits": apart,
    }


class _Drawn:
    """A source that has its batch: nothing to wait for."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode

    def batch(self, step: int, share: int = 0, shares: int = 1) -> Episode:
        return self.episode


def training(device: torch.device, precision: str) -> dict[str, Any]:
    """A step against the encoder's forward and backward pass on its images, and what drawing episodes costs."""
    preset = PRESETS["compact"]
    recipe: TrainConfig = replace(preset.train, steps=STEPS, precision=precision)
    usual = settings_of(preset.model).alignment
    image, _ = patient(1)
    ids = PseudolabelRule("supervoxels", 50.0).make(image)
    normalised = Normalisation("clip-zscore").apply(image.array_zyx)
    bank = SliceBank.of_volumes([(normalised, ids, np.ones(SLICES, bool))], preset.model.input_size)
    source = SelfSupervisedEpisodes(bank, recipe.pairs, recipe.targets, recipe.augment, 0, reach=1)
    episode = source.batch(0).to(device)
    images = torch.cat([episode.support_images[:, 0], episode.query_images])
    torch.manual_seed(0)
    model: Any = build_model(preset.model).to(device).train()

    def bare() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            features = model.encoder(images)
        features.float().square().mean().backward()
        model.zero_grad(set_to_none=True)

    def step(alignment: float) -> Callable[[], None]:
        def run() -> None:
            losses = episode_losses(model, episode, recipe, alignment=alignment)
            torch.stack(list(losses.values())).sum().backward()
            model.zero_grad(set_to_none=True)

        return run

    def whole(from_: Any) -> Callable[[], None]:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                train(build_model(preset.model), from_, recipe, Path(folder), device=device, alignment=usual)

        return run

    encoder, aligned, plain = in_turns(bare, step(usual), step(0.0))
    drawn, waited = in_turns(whole(_Drawn(source.batch(0))), whole(source), repeats=2)
    return {
        "precision": precision,
        "pairs": recipe.pairs,
        "targets": recipe.targets,
        "encoder_s": encoder,
        "step_s": aligned,
        "ratio": aligned / encoder,
        "ratio_without_alignment": plain / encoder,
        "share_of_drawing_episodes": 1 - drawn / waited,
    }


def yardstick(device: torch.device) -> dict[str, Any]:
    """Encoders alone: `compact` against a ResNet-18 at output stride 8 and 256 x 256."""
    resnet: Any = build_model(ModelConfig(encoder="resnet18", output_stride=8, input_size=256)).to(device).eval()
    compact: Any = build_model(PRESETS["compact"].model).to(device).eval()
    large = torch.randn(BATCH, 1, 256, 256, device=device)
    own = torch.randn(BATCH, 1, SIZE, SIZE, device=device)
    times = in_turns(*(encoder_alone(m, x, False) for m, x in ((resnet, large), (compact, own), (compact, large))))
    seconds = dict(zip(("resnet18_256", f"compact_{SIZE}", "compact_256"), (t / BATCH for t in times), strict=True))
    return {
        "s_per_slice": seconds,
        "ratio": times[1] / times[0],
        "ratio_at_256": times[2] / times[0],
    }


def grown(device: str, threads: int, shape: dict[str, int]) -> dict[str, float]:
    """Processor seconds, which other work disturbs less, and peak memory of one query, in a process of its own."""
    keep_memory()
    torch.set_num_threads(threads)
    segmenter = ready(pick_device(device), "float32", **shape)
    query, _ = patient(9, **{name: shape[name] for name in ("slices", "size") if name in shape})
    (seconds,) = in_turns(lambda: segmenter.segment(query), repeats=3, clock=time.process_time)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return {"s": seconds, "peak_mib": int(peak) / 1024}


def growth(device: str, threads: int) -> dict[str, Any]:
    """Time and memory against slices, organs, shots and pixels, with the share that a straight line explains."""
    found: dict[str, Any] = {}
    for name, values in GROWTH.items():
        rows = []
        for value in values:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                key = "size" if name == "pixels" else name
                rows.append(pool.submit(grown, device, threads, {key: value}).result())
        x = [value**2 for value in values] if name == "pixels" else list(values)
        found[name] = {
            "values": list(values),
            **{what: [row[what] for row in rows] for what in ("s", "peak_mib")},
            "r_squared": {
                what: float(np.corrcoef(x, [row[what] for row in rows])[0, 1] ** 2) for what in ("s", "peak_mib")
            },
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--part", action="append", help="volume, published_way, ...: this one anew; all by default")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    keep_memory()  # as the command line does
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    parts: dict[str, Callable[[], Any]] = {
        "volume": lambda: [volume(device, precision) for precision in ("float32", "bfloat16")],
        "published_way": lambda: published_way(device),
        "training": lambda: [training(device, precision) for precision in ("float32", "bfloat16")],
        "yardstick": lambda: yardstick(device),
        "growth": lambda: growth(options.device, options.threads),
    }
    result = read_json(options.out) if options.part else {}
    result |= {"device": str(device), "versions": versions(), "machine": machine()}
    for name in options.part or parts:
        result[name] = parts[name]()
        print(name, result[name], flush=True)
        write_json(options.out, result)


if __name__ == "__main__":
    main()
