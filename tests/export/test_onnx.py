import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.places import REPOSITORY
from helpers.tiny import TINY
from psmnet.models.build import build_model, changed
from psmnet.models.tensors import Support
from psmnet.models.weights import TrainingRecord, load_weights, save_weights
from psmnet.system.files import read_json, sha256_of
from psmnet.volume.normalisation import Normalisation

TOLERANCE = 1e-4  # of logits, which reach 20


def save(folder: Path, method: str, *changes: str) -> Path:
    config = changed(TINY, method, changes)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_model(config)
    path = folder / f"{method}.safetensors"
    save_weights(path, model, config, Normalisation("clip-zscore"), TrainingRecord("synthetic", method=method))
    return path


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> tuple[Any, Path]:
    """PSMNet, and its graphs; written once, since tracing takes seconds."""
    pytest.importorskip("onnxscript", reason="the extra onnx is missing")
    from psmnet.export.onnx import export_onnx

    folder = tmp_path_factory.mktemp("onnx")
    weights = load_weights(save(folder, "psmnet", "attention=off", "minimal_area=1"))
    assert export_onnx(weights, folder) == {}
    return weights, folder


def session(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is missing")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session_: Any, *tensors: torch.Tensor) -> torch.Tensor:
    inputs = {known.name: tensor.numpy() for known, tensor in zip(session_.get_inputs(), tensors, strict=True)}
    return torch.from_numpy(session_.run(None, inputs)[0])


def flat(support: Support) -> list[torch.Tensor]:
    sets = (*support.foreground, *support.background)
    return [tensor for found in sets for tensor in (found.vectors, found.weights)]


def blocks(random: np.random.Generator, slices: int, targets: int, height: int, width: int) -> torch.Tensor:
    """Binary masks of one block each; of the last target in the last slice nothing."""
    masks = torch.zeros(slices, targets, height, width)
    for mask in masks.flatten(0, 1):
        y, x = random.integers(0, height // 2), random.integers(0, width // 2)
        mask[y : y + random.integers(8, height // 2 + 8), x : x + random.integers(8, width // 2 + 8)] = 1
    masks[-1, -1] = 0
    return masks


@pytest.mark.parametrize("seed", range(12))
@torch.no_grad()
def test_graphs_say_what_pytorch_says(graphs, seed):
    """Any image size, number of queries, organs, supports and shots; a class without prototypes too."""
    weights, folder = graphs
    encoder, matching = session(folder / "encoder.onnx"), session(folder / "matching.onnx")
    random = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    height, width = (16 * int(random.integers(1, 9)) for _ in range(2))
    queries, organs, supports, shots = (int(random.integers(1, most + 1)) for most in (5, 4, 3, 3))
    images = torch.randn(queries, 1, height, width, generator=generator)
    labelled = torch.randn(supports * shots, 1, height, width, generator=generator)
    serving = torch.from_numpy(random.integers(0, supports, queries))

    features = weights.model.encode(images)
    masks = blocks(random, supports * shots, organs, height, width)
    support = weights.model.describe(weights.model.encode(labelled), masks).join(shots)
    expected = weights.model.match(features, support.select(serving)).logits

    found_features = run(encoder, images)
    assert found_features.shape == features.maps[0].shape
    assert (found_features - features.maps[0]).abs().max() <= TOLERANCE
    found = run(matching, found_features, serving, *flat(support))
    assert found.shape == expected.shape == (queries, organs, 2, height, width)
    assert (found - expected).abs().max() <= TOLERANCE


def test_the_record_says_what_goes_in(graphs):
    weights, folder = graphs
    record = read_json(folder / "graphs.json")
    assert record["weights_sha256"] == weights.sha256
    assert (record["input_size"], record["multiple"], record["stride"]) == (64, 16, 4)
    assert record["normalisation"]["rule"] == "clip-zscore"
    assert record["not_in_graphs"] == {}
    for name, graph in record["graphs"].items():
        assert sha256_of(folder / name) == graph["sha256"]
        assert [known.name for known in session(folder / name).get_inputs()] == list(graph["inputs"])
        assert [known.shape for known in session(folder / name).get_inputs()] == list(graph["inputs"].values())
        assert str(REPOSITORY).encode() not in (folder / name).read_bytes()
    assert not list(folder.glob(".tmp-*"))


def test_command_writes_graphs_of_other_methods_by_prototypes(cli, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra onnx is missing")
    weights = save(tmp_path, "panet")
    outcome = cli("export", "--onnx", tmp_path / "out", "--weights", weights)
    assert (outcome.code, outcome.err) == (0, "")
    assert str(tmp_path / "out") in outcome.out.replace("\n", "")
    model = load_weights(weights).model
    with torch.no_grad():
        features = model.encode(torch.randn(1, 1, 48, 32, generator=torch.Generator().manual_seed(0)))
        support = model.describe(features, blocks(np.random.default_rng(0), 1, 3, 48, 32))
        expected = model.match(features, support).logits
    found = run(session(tmp_path / "out" / "matching.onnx"), features.maps[0], torch.tensor([0]), *flat(support))
    assert (found - expected).abs().max() <= TOLERANCE


def test_steps_that_settings_ask_for_and_graphs_lack_are_told(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("psmnet.export.onnx._write", lambda *_: "")
    weights = save(tmp_path, "psmnet", "attention=off", "position_in_use=0.3", "refine_in_use=2")
    outcome = cli("export", "--onnx", tmp_path / "out", "--weights", weights)
    assert (outcome.code, outcome.err) == (0, "")
    assert "note: position_in_use=0.3 is no part of the graphs" in outcome.out
    record = read_json(tmp_path / "out" / "graphs.json")
    assert record["not_in_graphs"] == {"position_in_use": 0.3, "refine_in_use": 2}


@pytest.mark.parametrize(
    ("method", "changes", "told"),
    [("psmnet", ["attention=text"], "cross attention"), ("adnet", [], "adnet"), ("qnet", [], "qnet")],
)
def test_what_compares_by_more_than_prototypes_is_refused(cli, tmp_path, method, changes, told):
    outcome = cli("export", "--onnx", tmp_path / "out", "--weights", save(tmp_path, method, *changes))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert told in outcome.err
    assert not list((tmp_path / "out").glob("*.onnx"))


def test_without_the_extra_it_says_how_to_get_it(cli, tmp_path, monkeypatch):
    def missing(name: str, *more: Any) -> Any:
        if name == "onnxscript":
            raise ModuleNotFoundError(name)
        return genuine(name, *more)

    genuine = importlib.import_module
    monkeypatch.setattr("psmnet.export.onnx.importlib.import_module", missing)
    outcome = cli("export", "--onnx", tmp_path / "out", "--weights", save(tmp_path, "panet"))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "pip install 'psmnet[onnx]'" in outcome.err


@pytest.mark.parametrize(
    "arguments", [("export",), ("export", "data"), ("export", "data", "out", "--weights", "bundled")]
)
def test_half_a_command_is_refused(cli, arguments):
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_data_and_network_are_not_exported_at_once(cli, tmp_path):
    outcome = cli("export", "data", "out", "--onnx", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert not (tmp_path / "out").exists()
