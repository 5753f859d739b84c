"""A method without a network that tests can predict, and cases for it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from psmnet.config import ModelConfig
from psmnet.io import write_volume
from psmnet.models.tensors import Features, Prediction, Prototypes, Support
from psmnet.models.weights import TrainingRecord, Weights
from psmnet.volume.normalisation import Normalisation
from psmnet.volume.volume import Volume

SIZE = 16


class ByGreyValue(nn.Module):
    """The three verbs without a network: foreground is what has a grey value of the support's organ, to within 0.5."""

    def __init__(self, answer: float = 1.0) -> None:
        super().__init__()
        self.answer = answer
        self.encoder = SimpleNamespace(multiple=1)
        self.encoded = 0

    def encode(self, images: Tensor) -> Features:
        self.encoded += len(images)
        return Features((images,))

    def describe(self, features: Features, masks: Tensor) -> Support:
        (images,) = features.maps
        grey = (images * masks).sum((-2, -1)) / masks.sum((-2, -1))  # N K
        background = Prototypes(torch.zeros_like(grey)[..., None, None], torch.ones_like(grey)[..., None])
        return Support((Prototypes(grey[..., None, None], torch.ones_like(grey)[..., None]),), (background,))

    def match(self, features: Features, support: Support) -> Prediction:
        (images,) = features.maps
        near = (images[:, :, None] - support.foreground[0].vectors[..., None]).abs().amin(2) < 0.5
        margin = torch.where(near, self.answer, -1.0)
        return Prediction(torch.stack([torch.zeros_like(margin), margin], dim=2), {})


def weights_of(model: nn.Module, trained_on: TrainingRecord | None = None) -> Weights:
    config = ModelConfig(channels=16, input_size=SIZE)
    as_stored = Normalisation("ct-fold", mean=0.0, std=1.0)
    return Weights(model, config, as_stored, trained_on or TrainingRecord("synthetic", seed=3), "0" * 64)


def write_case(folder: Path, case_id: str, labels: np.ndarray, image: np.ndarray | None = None) -> None:
    """An image whose grey values are the label values, unless another is given."""
    image = labels if image is None else image
    spacing = (2.0, 2.0, 6.0)
    write_volume(Volume(image.astype(np.float32), spacing), folder / f"image_{case_id}.nii.gz")
    write_volume(Volume(labels.astype(np.uint8), spacing), folder / f"label_{case_id}.nii.gz")
