"""A learned network as ONNX: the same probabilities, and masks of a program that knows nothing of psmnet."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.commands import only_line
from helpers.learned import ORGANS, save_learned_from
from helpers.places import REPOSITORY
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import read_labels, write_volume
from psmnet.segmentation.learned_segmenter import LearnedSegmenter
from psmnet.segmentation.learned_weights import load_learned
from psmnet.volume.geometry import Reorientation
from psmnet.volume.volume import Volume

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from psmnet.export.learned_onnx import export_onnx  # noqa: E402


def patient(seed: int) -> Volume:
    return draw_patient(seed, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_learned_from([patient(1), patient(2)], folder / "weights.safetensors")
    export_onnx(folder, folder / "network.onnx")
    return folder


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (5, 3, 112, 80), (2, 3, 160, 256)])
def test_probabilities_are_those_of_the_network(run, shape):
    stacks = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    student = load_learned(run).model
    with torch.no_grad():
        expected = student(stacks).softmax(dim=1).numpy()
    session = onnxruntime.InferenceSession(run / "network.onnx")
    (found,) = session.run(None, {"stacks": stacks.numpy()})
    assert np.abs(found - expected).max() < 1e-4
    assert expected.std() > 0.1, "the network tells pixels apart"


def test_the_record_tells_how_scans_are_shown(run):
    facts = json.loads(onnxruntime.InferenceSession(run / "network.onnx").get_modelmeta().custom_metadata_map["psmnet"])
    assert facts["organs"] == {str(value): organ.name for value, organ in ORGANS.items()}
    assert (facts["pixel_mm"], facts["multiple"], facts["neighbour_mm"]) == (2.5, 16, 8.75)
    assert facts["clip"] == [0.5, 99.5]


def test_the_file_names_no_folder(run):
    content = (run / "network.onnx").read_bytes()
    assert b"site-packages" not in content
    assert re.search(rb"\.py\b", content) is None


def ct(seed: int) -> Volume:
    """A patient with air at -1000 and soft tissue within the window."""
    image = patient(seed)
    return image.with_array(np.where(image.array_zyx < 20, -1000, image.array_zyx / 3 - 100).astype(np.int16))


@pytest.mark.parametrize(
    "query",
    [
        patient(3),
        Reorientation((2, 0, 1), (True, False, True)).apply(patient(3)),
        draw_patient(3, shape_zyx=(36, 100, 90), spacing_mm=(3.2, 3.6, 4.0))[0],  # others slices, shrunk
        ct(3),
    ],
    ids=["plain", "turned", "other spacing", "ct"],
)
def test_the_example_makes_the_masks_of_psmnet(run, query, tmp_path):
    write_volume(query, tmp_path / "scan.nii.gz")
    segmenter = LearnedSegmenter.from_checkpoint(run, "cpu")
    expected = segmenter.segment(query).array_zyx
    script = REPOSITORY / "examples" / "onnx_segment.py"
    arguments = [str(path) for path in (run / "network.onnx", tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz")]
    subprocess.run([sys.executable, str(script), *arguments], check=True)
    mask = read_labels(tmp_path / "mask.nii.gz")
    assert np.allclose(mask.affine, query.affine, atol=1e-3)
    for value in ORGANS:
        one, other = mask.array_zyx == value, expected == value
        assert other.any()
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.99


def test_the_example_needs_neither_psmnet_nor_torch():
    text = (REPOSITORY / "examples" / "onnx_segment.py").read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, flags=re.MULTILINE))
    assert imported == {"json", "sys", "itertools", "numpy", "onnxruntime", "SimpleITK"}


@pytest.mark.slow
def test_the_command(cli, run, tmp_path):
    """In a process of its own, since what torch's exporter logs goes past this one's capture."""
    code = "from psmnet.cli.main import main; main()"
    arguments = ["export", str(run), "--onnx", "--out", str(tmp_path / "a.onnx")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"ONNX: {tmp_path / 'a.onnx'}\n", "")
    assert onnxruntime.InferenceSession(tmp_path / "a.onnx").get_inputs()[0].name == "stacks"
    assert "already exists; add --overwrite" in only_line(cli("export", run, "--onnx"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["Dataset001_X", "--onnx"], "DATASETNNN_NAME does not go with --onnx; leave one out"),
        (["--onnx", "--jobs", "2"], "--jobs does not go with --onnx; leave one out"),
        (["Dataset001_X", "--out", "x.onnx"], "--out does not go with a prepared folder; leave one out"),
        ([], "Missing argument 'DATASETNNN_NAME'"),
    ],
)
def test_refusals_of_the_command(cli, run, arguments, line):
    assert line in only_line(cli("export", run, *arguments))


def test_other_weights_are_refused(cli, tiny_weights, tmp_path):
    line = only_line(cli("export", tiny_weights, "--onnx", "--out", tmp_path / "a.onnx"))
    assert line.endswith("is not a learned network; give the RUN of psmnet learn")


def test_without_the_extra(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr("psmnet.export.learned_onnx.find_spec", lambda name: None)
    line = only_line(cli("export", run, "--onnx", "--out", tmp_path / "a.onnx"))
    assert "ONNX needs the package onnx, which is not installed; pip install -e '.[onnx]'" in line
