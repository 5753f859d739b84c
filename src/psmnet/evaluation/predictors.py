"""Predictors: labelled support scans in, one organ's mask in the counted slices of a query out.

Slice-wise methods match the slices that a protocol names. The segmenter (protocol blind) and registration segment whole
scans, of which the counted slices are used.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from psmnet.evaluation import protocols
from psmnet.evaluation.protocols import Counted
from psmnet.models import Features, Support, Weights, concatenate
from psmnet.segmentation import (
    BATCH,
    UntrainedMethod,
    WholeScanSegmenter,
    encode_slices,
    mask_tensor,
    match_slices,
    segmenter_of,
    slice_tensor,
    smoothed_across,
)
from psmnet.volume import Mask, Volume

ImageAndLabels = tuple[Volume, Volume]


class Predictor(Protocol):
    """What evaluation needs from a method."""

    def set_support(self, supports: Sequence[ImageAndLabels], values: Sequence[int]) -> None:
        """Set the labelled scans (image, label map) and the label values to predict."""

    def predict(self, query: Volume, counted: Mapping[int, Counted]) -> dict[int, Mask]:
        """Each label value's mask (Q, Y, X) in the query slices that count for it, on the stored grid."""


def predictor_of(method: Weights | UntrainedMethod, protocol: str, device: torch.device) -> Predictor:
    """The predictor of a method under a protocol."""
    if isinstance(method, Weights) and protocol in protocols.SUPPORT_SLICES:
        return NamedSlices(method, protocol, device)
    return WholeScans(segmenter_of(method, device))


class WholeScans:
    """A segmenter of whole scans, of which the counted slices are used; each voxel gets one organ."""

    def __init__(self, segmenter: WholeScanSegmenter) -> None:
        self.segmenter = segmenter

    def set_support(self, supports: Sequence[ImageAndLabels], values: Sequence[int]) -> None:
        """Set the labelled scans of the segmenter."""
        self.segmenter.set_support(supports, values)

    def predict(self, query: Volume, counted: Mapping[int, Counted]) -> dict[int, Mask]:
        """Segment the query once for all label values."""
        labels = self.segmenter.segment(query).array_zyx
        return {value: labels[organ.slices] == value for value, organ in counted.items()}


class NamedSlices:
    """Slice-wise matching where the protocol names the support slice of each query slice; each organ on its own.

    Args:
        weights: network and normalisation.
        protocol: in `protocols.SUPPORT_SLICES`.
        device: where the network runs.
    """

    def __init__(self, weights: Weights, protocol: str, device: torch.device) -> None:
        self.model: Any = weights.model.to(device)
        self.weights = weights
        self.support_slices = protocols.SUPPORT_SLICES[protocol]
        self.device = device
        self.supports: dict[int, Support] = {}

    def set_support(self, supports: Sequence[ImageAndLabels], values: Sequence[int]) -> None:
        """Encode each named support slice once, and describe each label value in the slices named for it."""
        described: dict[int, list[Support]] = {value: [] for value in values}
        for image, labels in supports:
            shown = [value for value in values if (labels.array_zyx == value).any()]
            named = {value: self.support_slices(labels.array_zyx == value) for value in shown}
            if not named:
                continue
            encoded = np.unique(np.concatenate(list(named.values())))
            features = self._encode(image, encoded)
            for value, numbers in named.items():
                rows = torch.from_numpy(np.searchsorted(encoded, numbers)).to(self.device)
                masks = mask_tensor(labels.array_zyx[numbers], [value]).to(self.device)
                with torch.no_grad():
                    described[value].append(self.model.describe(features[rows], masks))
        # Part k joins slice k of every support scan that has the organ.
        self.supports = {value: concatenate(parts) for value, parts in described.items()}

    def predict(self, query: Volume, counted: Mapping[int, Counted]) -> dict[int, Mask]:
        """Encode each counted query slice once, and match it for each label value."""
        wanted = [organ.slices for organ in counted.values()]
        encoded = np.unique(np.concatenate(wanted)) if wanted else np.zeros(0, np.int64)
        if len(encoded) == 0:
            return dict.fromkeys(counted, query.array_zyx[:0] > 0)
        features = self._encode(query, encoded)
        masks = {}
        for value, organ in counted.items():
            masks[value] = mask = np.zeros((len(organ.slices), *query.array_zyx.shape[1:]), dtype=bool)
            if len(mask) == 0:
                continue
            rows = torch.from_numpy(np.searchsorted(encoded, organ.slices)).to(self.device)
            serving = torch.from_numpy(organ.parts).to(self.device)
            matched = match_slices(self.model, features[rows], self.supports[value], serving)
            margins = torch.cat([margin for _, margin in matched])
            margins = smoothed_across(margins, organ.slices, query.spacing_mm[2], self.weights.config.smooth_mm)
            for start in range(0, len(mask), BATCH):
                # Logits return to the stored grid before the decision (protocols.md).
                part = slice(start, start + BATCH)
                stored = functional.interpolate(
                    margins[part], size=mask.shape[1:], mode="bilinear", align_corners=False
                )
                mask[part] = (stored[:, 0] > 0).cpu().numpy()
        return masks

    def _encode(self, scan: Volume, numbers: npt.NDArray[np.int64]) -> Features:
        images = slice_tensor(scan.array_zyx, self.weights.normalisation, self.weights.config.input_size, numbers)
        return encode_slices(self.model, images, self.device)
