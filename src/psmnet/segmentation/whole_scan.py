"""Methods that segment whole scans without training: what they offer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from psmnet.models import MethodSettings
from psmnet.segmentation.result import Segmentation
from psmnet.volume import Volume


class WholeScanSegmenter(Protocol):
    """Segments whole scans from labelled ones, as `Segmenter` does."""

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values that queries will get, ascending."""

    def set_support(self, supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None = None) -> None:
        """Prepare labelled scans, once for all queries.

        Args:
            supports: image and label map on one grid, of each labelled scan.
            labels: label values to segment (default: all).
        """

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the support's label values."""

    def examine(self, query: Volume) -> Segmentation:
        """The label map of a query with confidences and notes."""


@dataclass(frozen=True)
class WholeScanSettings(MethodSettings, ABC):
    """Base of the settings of methods without training."""

    @abstractmethod
    def segmenter(self) -> WholeScanSegmenter:
        """A segmenter with these settings."""
