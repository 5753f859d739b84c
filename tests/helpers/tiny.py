"""A network small enough for tests, untrained and the same every time."""

from pathlib import Path

import torch

from psmnet.config import ModelConfig
from psmnet.models.build import build_model
from psmnet.models.weights import TrainingRecord, save_weights
from psmnet.volume.normalisation import Normalisation

TINY = ModelConfig(channels=16, input_size=64, settings={"alignment": 0.0, "minimal_area": 1, "attention": "text"})


def save_tiny_weights(path: Path, trained_on: TrainingRecord | None = None) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(TINY)
    save_weights(path, model, TINY, Normalisation("clip-zscore"), trained_on or TrainingRecord("synthetic"))
    return path
