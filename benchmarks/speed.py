"""Seconds per training step and per slice against the bare encoder on the same tensors, interleaved in one run.

python benchmarks/speed.py --out results/speed.json
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from psmnet.config import PRESETS
from psmnet.data.synthetic import SyntheticEpisodes
from psmnet.files import write_json
from psmnet.models.build import build
from psmnet.runtime import machine, pick_device, versions
from psmnet.training import episode_losses

ORGANS, SUPPORT_SLICES, SLICES = 4, 3, 16


def interleaved(repeats: int, *functions: Callable[[], None]) -> list[float]:
    """Median seconds of each function, called in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for round_ in range(repeats + 1):
        for function, seconds in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_:  # the first warms up
                seconds.append(time.perf_counter() - began)
    return [median(seconds) for seconds in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--attention", default=None, help="text, release or off instead of the preset's")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    preset, device = PRESETS[options.preset], pick_device(options.device)
    config = preset.model
    if options.attention:
        config = type(config)(**(vars(config) | {"attention": options.attention}))
    torch.manual_seed(0)
    model = build(config).to(device)
    recipe = preset.train
    episode = SyntheticEpisodes(config.input_size, recipe.pairs, recipe.targets, 0).batch(0).to(device)
    images = torch.cat([episode.support_images[:, 0], episode.query_images])

    def train_bare() -> None:
        model.encoder(images).square().mean().backward()
        model.zero_grad(set_to_none=True)

    def train_step() -> None:
        sum(episode_losses(model, episode, recipe).values()).backward()
        model.zero_grad(set_to_none=True)

    queries = torch.randn(SLICES, 1, config.input_size, config.input_size, device=device)
    masks = (torch.rand(SUPPORT_SLICES, ORGANS, config.input_size, config.input_size, device=device) > 0.9).float()

    @torch.no_grad()
    def segment_bare() -> None:
        model.encoder(queries)

    with torch.no_grad():
        support = model.describe(model.encode(queries[:SUPPORT_SLICES]), masks).join(SUPPORT_SLICES)

    @torch.no_grad()
    def segment() -> None:
        model.match(model.encode(queries), support)

    bare, step = interleaved(options.repeats, train_bare, train_step)
    encoder, whole = interleaved(options.repeats, segment_bare, segment)
    pairs = recipe.pairs * recipe.targets
    result = {
        "preset": options.preset,
        "attention": config.attention,
        "device": str(device),
        "training": {
            "episodes_in_a_step": pairs,
            "seconds_per_step": step,
            "seconds_per_episode": step / pairs,
            "bare_encoder_seconds": bare,
            "ratio": step / bare,
        },
        "segmentation": {
            "organs": ORGANS,
            "support_slices": SUPPORT_SLICES,
            "seconds_per_slice": whole / SLICES,
            "bare_encoder_seconds_per_slice": encoder / SLICES,
            "ratio": whole / encoder,
        },
        "versions": versions(),
        "machine": machine(),
    }
    write_json(options.out, result)
    for name in ("training", "segmentation"):
        print(name, {key: round(value, 4) for key, value in result[name].items()})


if __name__ == "__main__":
    main()
