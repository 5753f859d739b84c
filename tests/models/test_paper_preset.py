"""The published recipe runs, if slowly: ResNet-101, 256 x 256, SGD, cross attention."""

import json

import pytest
import torch

from psmnet.data.phantom.patient import write_patients
from psmnet.models.build import model_record
from psmnet.models.weights import load_weights
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec


@pytest.mark.slow
def test_a_step_of_the_paper_preset(tmp_path):
    write_patients(tmp_path / "data", 6, seed=0)
    spec = RunSpec("phantom", fold=0, preset="paper", steps=1)
    path = run_training(spec, tmp_path / "run", data=tmp_path / "data", device=torch.device("cpu"))
    weights = load_weights(path)
    record = model_record(weights.config)
    assert (record["encoder"], record["attention"]) == ("resnet101", "text")
    assert weights.normalisation.rule == "zscore"
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 0 < json.loads(line)["segmentation"] < 20
