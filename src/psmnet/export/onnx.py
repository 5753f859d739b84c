"""The network as ONNX, for programs without PyTorch: the encoder, and matching with prototypes.

Prototypes themselves are made by `describe`, which stays in PyTorch: its splitting loops as long as it finds something
to split, and it runs once for each labelled scan.
"""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psmnet.config import Setting
from psmnet.errors import ConfigError, InputError
from psmnet.models import ALPNet, PANet, Prototypes, PSMNet, Support, Weights, match_prototypes, model_record
from psmnet.runtime import package_version
from psmnet.system import atomic_path, sha256_of, write_json

SCHEMA = "psmnet-onnx-1"
ENCODER_NAME, MATCHING_NAME, RECORD_NAME = "encoder.onnx", "matching.onnx", "graphs.json"
NOT_IN_GRAPHS = ("smooth_mm", "position_in_use", "refine_in_use")  # steps around them that settings may ask for

Shape = tuple[str | int, ...]


class Matching(nn.Module):
    """Matching as a function of tensors alone.

    Args:
        foreground, background: how many sets of prototypes each class has.
        stride: image pixels per feature position.
        weigh_area: see `cosine_score`.
    """

    def __init__(self, foreground: int, background: int, stride: int, weigh_area: bool) -> None:
        super().__init__()
        self.foreground = foreground
        self.background = background
        self.stride = stride
        self.weigh_area = weigh_area

    def forward(self, features: Tensor, serving: Tensor, *sets: Tensor) -> Tensor:
        """Score queries, each by the support that serves it.

        Args:
            features: (Q, C, h, w).
            serving: (Q,) long, which of the supports serves each query.
            sets: vectors (S, K or 1, P, C) and weights (S, K, P) of each set, the foreground's first.

        Returns:
            logits (Q, K, 2, H, W).
        """
        found = [Prototypes(*sets[i : i + 2]) for i in range(0, len(sets), 2)]
        support = Support(tuple(found[: self.foreground]), tuple(found[self.foreground :])).select(serving)
        size = (features.shape[-2], features.shape[-1])
        shared = features.flatten(2)[:, None]
        return match_prototypes(shared, support, size, self.stride, weigh_area=self.weigh_area).logits

    @property
    def names(self) -> list[str]:
        """Of the sets, in order."""
        classes = (("foreground", self.foreground), ("background", self.background))
        return [f"{name}_{number}" for name, count in classes for number in range(count)]


def export_onnx(weights: Weights, out: Path) -> dict[str, Setting]:
    """Write `encoder.onnx`, `matching.onnx` and `graphs.json`, which says what goes in and comes out.

    Args:
        weights: network and normalisation.
        out: folder; files of these names are replaced.

    Returns:
        settings of the weights that ask for more than the graphs do.

    Raises:
        ConfigError: the method compares by more than prototypes.
        InputError: the extra `onnx` is missing, or the folder can't be written.
    """
    weigh_area = _weighs_area(weights)
    _require_onnx()
    model: Any = weights.model
    images, features, support = _example(weights)
    sets = (*support.foreground, *support.background)
    matching = Matching(len(support.foreground), len(support.background), model.encoder.stride, weigh_area)
    inputs: dict[str, Shape] = {"features": ("queries", "channels", "height", "width"), "serving": ("queries",)}
    for name, found in zip(matching.names, sets, strict=True):
        targets = "targets" if len(found.vectors[0]) > 1 else 1
        inputs[f"{name}_vectors"] = ("supports", targets, name, "channels")
        inputs[f"{name}_weights"] = ("supports", "targets", name)
    serving = torch.tensor([1, 0, 1])
    tensors = (features, serving, *(tensor for found in sets for tensor in (found.vectors, found.weights)))
    around: dict[str, Shape] = {"images": ("batch", 1, "height", "width")}
    stride, channels = model.encoder.stride, weights.config.channels
    files = {
        ENCODER_NAME: _write(model.encoder, (images,), around, "features", out / ENCODER_NAME),
        MATCHING_NAME: _write(matching, tensors, inputs, "logits", out / MATCHING_NAME),
    }
    record = model_record(weights.config)
    left = {name: record[name] for name in NOT_IN_GRAPHS if record.get(name)}
    write_json(
        out / RECORD_NAME,
        {
            "schema": SCHEMA,
            "psmnet": package_version(),
            "weights_sha256": weights.sha256,
            "model": record,
            "not_in_graphs": left,
            "normalisation": asdict(weights.normalisation),
            "input_size": weights.config.input_size,
            "multiple": model.encoder.multiple,
            "stride": stride,
            "graphs": {
                ENCODER_NAME: {
                    "sha256": files[ENCODER_NAME],
                    "inputs": around,
                    "outputs": {"features": ["batch", channels, f"height / {stride}", f"width / {stride}"]},
                },
                MATCHING_NAME: {
                    "sha256": files[MATCHING_NAME],
                    "inputs": inputs,
                    "outputs": {"logits": ["queries", "targets", 2, f"{stride} height", f"{stride} width"]},
                },
            },
        },
    )
    return left


def _weighs_area(weights: Weights) -> bool:
    """Whether areas weigh in matching, of the methods that compare by prototypes alone."""
    model = weights.model
    if isinstance(model, PSMNet) and model.attention is not None:
        raise ConfigError("--onnx with cross attention", "give weights with attention=off")
    if isinstance(model, PSMNet | ALPNet):
        return model.weigh_area_in_use
    if isinstance(model, PANet):
        return model.weigh_area
    raise ConfigError(f"--onnx with {weights.config.method}", "give weights of psmnet, alpnet or panet")


@torch.no_grad()
def _example(weights: Weights) -> tuple[Tensor, Tensor, Support]:
    """Tensors to trace by: images, features of three queries, and a support of two slices and two targets.

    No two axes that may differ are equal, else they would be taken for one.
    """
    model: Any = weights.model
    images = torch.linspace(-1, 1, 3 * 128 * 192).reshape(3, 1, 128, 192)
    masks = torch.zeros(2, 2, 128, 192)
    masks[:, 0, 32:64, 32:96] = masks[:, 1, 64:112, 96:160] = 1
    features = model.encode(images)
    return images, features.maps[0], model.describe(features[:2], masks)


def _write(module: nn.Module, tensors: Sequence[Tensor], inputs: Mapping[str, Shape], output: str, path: Path) -> str:
    """Trace a module, write its graph, and return the file's SHA-256."""
    axes = tuple({i: side for i, side in enumerate(shape) if isinstance(side, str)} for shape in inputs.values())
    shapes = (*axes[:2], axes[2:]) if isinstance(module, Matching) else axes
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(tensors),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where each came from, with the folders of this machine
    with atomic_path(path) as temporary:
        program.save(temporary, external_data=False)
    return sha256_of(path)


def _require_onnx() -> None:
    for name in ("onnx", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(f"--onnx needs {name}, which is missing", "pip install 'psmnet[onnx]'") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own workings and on torchvision, which is not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
