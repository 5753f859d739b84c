"""Seconds of the encoder and of matching by PyTorch and by onnxruntime, in turns on the same tensors, and how far
their outputs lie apart.

python benchmarks/onnx_speed.py --threads 1 --graphs graphs --out results/onnx.json
"""

# Not called onnx.py: a script's folder is searched first, and torch would import this file for the package.

import argparse
import copy
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from speed import in_turns
from torch import Tensor

from psmnet.data.phantom import draw_patient
from psmnet.export import ENCODER_NAME, MATCHING_NAME, export_onnx
from psmnet.models import load_weights
from psmnet.runtime import machine, versions
from psmnet.segmentation import slice_tensor
from psmnet.system import write_json

BATCHES, ORGANS, SHOTS = (1, 8, 16), 4, 3
SIDES = (192, 96)  # a whole slice, and about the window in which an organ is looked for
CALIBRATION_PATIENTS = (101, 102, 103)


class Patients(CalibrationDataReader):
    """Every fourth slice of drawn patients, one at a time."""

    def __init__(self, weights: Any) -> None:
        self.slices = iter(
            [image[None] for seed in CALIBRATION_PATIENTS for image in drawn(weights, seed)[::4].numpy()]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next slice (1, 1, H, W)."""
        image = next(self.slices, None)
        return None if image is None else {"images": image}


def drawn(weights: Any, seed: int) -> Tensor:
    """Slices (N, 1, H, W) of a drawn patient as the network sees them."""
    image, _ = draw_patient(seed=seed)
    count = len(image.array_zyx)
    return slice_tensor(image.array_zyx, weights.normalisation, weights.config.input_size, np.arange(count))


def session(path: Path, threads: int) -> Callable[..., Tensor]:
    """What runs a graph on tensors."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    found = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [known.name for known in found.get_inputs()]

    def run(*tensors: Tensor) -> Tensor:
        inputs = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(found.run(None, inputs)[0])

    return run


@torch.no_grad()
def plainly(encoder: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return encoder(images)


@torch.no_grad()
def in_bfloat16(encoder: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return encoder(images).float()


def encoders(weights: Any, folder: Path, threads: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """All ways to encode, PyTorch's plain one first."""
    plain = weights.model.encoder
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    graph, static, dynamic = folder / ENCODER_NAME, folder / "int8_static.onnx", folder / "int8_dynamic.onnx"
    unsigned = {"activation_type": QuantType.QUInt8, "per_channel": True}  # signed ones are three times slower
    quantize_static(graph, static, Patients(weights), op_types_to_quantize=["Conv"], **unsigned)
    quantize_dynamic(graph, dynamic, weight_type=QuantType.QUInt8)
    return {
        "torch": partial(plainly, plain),
        "torch_channels_last": partial(plainly, last),
        "torch_bfloat16": partial(in_bfloat16, plain),
        "torch_bfloat16_channels_last": partial(in_bfloat16, last),
        "onnxruntime": session(graph, threads),
        "onnxruntime_int8_static": session(static, threads),
        "onnxruntime_int8_dynamic": session(dynamic, threads),
    }


def compared(ways: dict[str, Callable[[], Tensor]], repeats: int, images: int) -> dict[str, Any]:
    """Seconds an image, ratio to the first way, and the largest difference from what it gives."""
    outputs = {name: way() for name, way in ways.items()}
    seconds = dict(zip(ways, in_turns(*ways.values(), repeats=repeats), strict=True))
    first = next(iter(ways))
    return {
        name: {
            "seconds_per_slice": seconds[name] / images,
            "times_faster": seconds[first] / seconds[name],
            "largest_difference": float((outputs[name] - outputs[first]).abs().max()),
        }
        for name in ways
    }


@torch.no_grad()
def matching(weights: Any, images: Tensor, folder: Path, threads: int, repeats: int) -> dict[str, Any]:
    """Of all slices, each with a support of its own, as in segment."""
    model, side = weights.model, images.shape[-1] // (ORGANS + 1)
    masks = torch.zeros(SHOTS * len(images), ORGANS, *images.shape[-2:])
    for organ in range(ORGANS):
        masks[:, organ, side * organ : side * (organ + 2), side : 3 * side] = 1
    features = model.encode(images)
    labelled = torch.arange(len(masks)) % len(images)
    support = model.describe(features[labelled], masks).join(SHOTS)
    flat = [t for found in (*support.foreground, *support.background) for t in (found.vectors, found.weights)]
    serving = torch.arange(len(images))
    run = session(folder / MATCHING_NAME, threads)

    @torch.no_grad()
    def by_torch() -> Tensor:
        return model.match(features, support.select(serving)).logits

    ways = {"torch": by_torch, "onnxruntime": lambda: run(features.maps[0], serving, *flat)}
    return compared(ways, repeats, len(images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--graphs", type=Path, required=True, help="folder for the graphs, those of int8 too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    weights = load_weights(options.weights)
    slices = drawn(weights, 1)
    result: dict[str, Any] = {"encoder": {}, "matching": {}}
    folder = options.graphs
    export_onnx(weights, folder)
    ways = encoders(weights, folder, options.threads)
    for batch in BATCHES:
        images = slices[torch.arange(batch) % len(slices)]
        bound = {name: partial(way, images) for name, way in ways.items()}
        result["encoder"][str(batch)] = compared(bound, options.repeats, batch)
    for side in SIDES:
        images = slices[:8, :, :side, :side].contiguous()
        result["matching"][str(side)] = matching(weights, images, folder, options.threads, options.repeats)
    onnx_versions = {package: version(package) for package in ("onnx", "onnxruntime", "onnxscript")}
    size = weights.config.input_size
    result |= {"image": [size, size], "organs": ORGANS, "shots": SHOTS, "weights_sha256": weights.sha256}
    write_json(options.out, result | {"versions": versions() | onnx_versions, "machine": machine()})
    for part in ("encoder", "matching"):
        for batch, ways_of_it in result[part].items():
            for name, figures in ways_of_it.items():
                print(part, batch, name, {key: float(f"{value:.3g}") for key, value in figures.items()})


if __name__ == "__main__":
    main()
