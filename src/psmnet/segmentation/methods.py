"""Methods by name: loaded, and as segmenters of whole scans."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from psmnet.errors import ConfigError, require
from psmnet.models import (
    METHODS,
    Weights,
    differences,
    find_weights,
    is_learned,
    load_weights,
    method_settings,
    parse_changes,
)
from psmnet.segmentation.learned_weights import LearnedWeights, load_learned
from psmnet.segmentation.segmenter import Segmenter
from psmnet.segmentation.whole_scan import WholeScanSegmenter, WholeScanSettings


@dataclass(frozen=True)
class UntrainedMethod:
    """A method that needs no weights.

    Attributes:
        name: in `models.METHODS`.
        settings: of the method.
    """

    name: str
    settings: WholeScanSettings

    @property
    def variant(self) -> str | None:
        """Settings that differ from the defaults, as `name=value,...`; None for none."""
        return ",".join(differences(asdict(self.settings), asdict(type(self.settings)()))) or None


ComparingMethod = Weights | UntrainedMethod
"""A method that segments by comparing scans with labelled ones."""


def load_method(
    method: str | None, weights: str | Path | None, changes: Sequence[str] = ()
) -> ComparingMethod | LearnedWeights:
    """A method, or a learned network, ready for inference; weights files are told apart by what they hold.

    Args:
        method, weights, changes: as `load_comparing` takes them; for a learned network only its weights.

    Raises:
        InputError: the weights can't be used.
        ConfigError: as `load_comparing`, or a method or changes for a learned network.
    """
    if weights is None or not is_learned(path := find_weights(weights)):
        return load_comparing(method, weights, changes)
    what = f"{path} is a learned network, which compares no scans"
    require(method is None, f"{what}: it has no method {method}", "leave method out", code="learned-method")
    require(not changes, f"{what}: it has no {', '.join(changes)}", "leave changes out", code="learned-set")
    return load_learned(path)


def load_comparing(method: str | None, weights: str | Path | None, changes: Sequence[str] = ()) -> ComparingMethod:
    """A method that compares scans with labelled ones, ready for inference.

    Args:
        method: name in `models.METHODS`; None for the one that the weights were trained with.
        weights: of a trained method (default: bundled); an untrained one takes none.
        changes: `NAME=VALUE` texts, settings to change.

    Raises:
        InputError: the weights can't be used, for example because they are a learned network.
        ConfigError: no such method or setting, or weights for a method that is not trained.
    """
    if method is None or METHODS[method].trained:
        return load_weights(weights or "bundled", method, changes)
    what = f"weights {weights} with {method}, which is not trained"
    require(weights is None, what, "leave the weights out", code="untrained-weights")
    settings = method_settings(method, parse_changes(changes, asdict(method_settings(method, {}))))
    if not isinstance(settings, WholeScanSettings):
        raise ConfigError(f"settings of {method}, which is not trained, are no WholeScanSettings", "correct its class")
    return UntrainedMethod(method, settings)


def method_name(method: ComparingMethod | LearnedWeights) -> str:
    """Its name in `models.METHODS`; "learned" for a learned network."""
    if isinstance(method, LearnedWeights):
        return "learned"
    return method.config.method if isinstance(method, Weights) else method.name


def segmenter_of(method: ComparingMethod, device: torch.device, precision: str = "float32") -> WholeScanSegmenter:
    """A segmenter of whole scans; device and precision are those of a trained method's network."""
    return Segmenter(method, device, precision) if isinstance(method, Weights) else method.settings.segmenter()
