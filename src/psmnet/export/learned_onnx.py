"""Writes a learned network as ONNX, which other programs run without psmnet or PyTorch."""

import json
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psmnet.catalog import CT_WINDOW_HU, HU_MINIMUM
from psmnet.errors import InputError
from psmnet.models import Student
from psmnet.segmentation import LearnedWeights, load_learned
from psmnet.system import atomic_path, how_to_install
from psmnet.volume import CLIPPED

ONNX_NAME = "network.onnx"
METADATA = "psmnet"  # key of the JSON record in the file's metadata
MOST_BLOCKS = 64  # of Student.multiple pixels, on each side of a slice


def export_onnx(source: str | Path, path: Path) -> None:
    """Write a learned network as ONNX.

    Its input `stacks` is (B, 3, H, W) float32: a slice between its neighbours, normalised, of any batch size; H and W
    are multiples of 16. Its output `probabilities` is (B, 1 + K, H, W): of background and organs. The file's metadata
    has a JSON record under `psmnet`, which says how scans are shown to it; examples/onnx_segment.py reads it.

    Args:
        source: a run's folder, or a weights file.
        path: the ONNX file; an existing one is replaced.

    Raises:
        InputError: there is no learned network, the packages for ONNX are not installed, or the file can't be written.
    """
    weights = load_learned(source)
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX needs the package {missing[0]}, which is not installed", how_to_install("onnx"))
    program = _program(weights.model)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the names of this machine's folders, from torch's stack traces
    program.model.metadata_props[METADATA] = json.dumps(onnx_record(weights))
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)


def onnx_record(weights: LearnedWeights) -> dict[str, Any]:
    """How scans are shown to the network, for programs that run it.

    Returns:
        organs: label value to name, in the order of the outputs after background. parts: connected parts that each
        keeps. direction: columns are the unit vectors (LPS) along which axes run, slices last. pixel_mm, multiple: size
        of pixels, and what the sides of a slice must be multiples of. neighbour_mm: distance of neighbouring slices.
        ct: scans with values as low as `minimum_hu` are CT, clipped to `window_hu` and scaled to 0..255. Then all
        intensities are clipped to the scan's percentiles `clip` and standardised: by `mean` and `std`, or by the
        scan's own where these are null.
    """
    view, rule = weights.view, weights.view.normalisation
    return {
        "organs": {str(value): organ.name for value, organ in weights.organs.items()},
        "parts": {str(value): count for value, count in weights.parts.items()},
        "direction": [list(row) for row in view.direction],
        "pixel_mm": view.pixel_mm,
        "multiple": Student.multiple,
        "neighbour_mm": view.neighbour_mm,
        "ct": {"minimum_hu": HU_MINIMUM, "window_hu": list(CT_WINDOW_HU)},
        "clip": list(CLIPPED) if rule.rule == "clip-zscore" else [0, 100],
        "mean": rule.mean,
        "std": rule.std,
        "version": weights.taught_by.version,
        "weights_sha256": weights.sha256,
    }


class _Probabilities(nn.Module):
    """A student that returns probabilities of background and organs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, stacks: Tensor) -> Tensor:
        probabilities: Tensor = self.student(stacks).softmax(dim=1)
        return probabilities


def _program(student: Student) -> Any:
    """The student as a program of torch.onnx, for any batch, height and width."""
    batch = torch.export.Dim("batch")
    rows, columns = (torch.export.Dim(name, min=1, max=MOST_BLOCKS) for name in ("rows", "columns"))
    sides = {0: batch, 2: Student.multiple * rows, 3: Student.multiple * columns}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it says that torchvision is missing, which we don't need
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own internals
        return torch.onnx.export(
            _Probabilities(student).eval(),
            (torch.zeros(2, 3, 2 * Student.multiple, 3 * Student.multiple),),
            dynamo=True,
            verbose=False,
            input_names=["stacks"],
            output_names=["probabilities"],
            dynamic_shapes=(sides,),
        )
