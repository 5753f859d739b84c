"""Methods by name: loaded, and as what segments whole scans."""

from collections.abc import Sequence
from pathlib import Path

import torch

from psmnet.catalog import METHODS
from psmnet.errors import require
from psmnet.models import Weights, load_weights
from psmnet.segmentation.registration import Registration
from psmnet.segmentation.segmenter import Segmenter

WholeScan = Segmenter | Registration


def load_method(method: str | None, weights: str | Path | None, changes: Sequence[str] = ()) -> Weights | Registration:
    """A method ready to be evaluated or used.

    Args:
        method: in the catalog; None for what the weights were trained with.
        weights: of a slice-wise method, `bundled` if None; a training-free one takes none.
        changes: `NAME=VALUE` texts, settings to change.

    Raises:
        InputError: the weights can't be used.
        ConfigError: no such method or setting, or weights of a method that is not trained.
    """
    if method is None or METHODS[method].trained:
        return load_weights(weights or "bundled", method, changes)
    what = f"weights {weights} with {method}, which is not trained"
    require(weights is None, what, "leave the weights out", code="untrained-weights")
    return Registration.of(changes)


def method_name(method: Weights | Registration) -> str:
    """Its name in the catalog."""
    return method.config.method if isinstance(method, Weights) else method.name


def segmenter_of(method: Weights | Registration, device: torch.device, precision: str = "float32") -> WholeScan:
    """What segments whole scans by a method; precision is that of its encoder, if it has one."""
    return Segmenter(method, device, precision) if isinstance(method, Weights) else method
