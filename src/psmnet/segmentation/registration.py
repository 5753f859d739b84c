"""`Registration`: the baseline without training. Labelled scans are registered to a query and carry their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from psmnet.errors import ConfigError, InputError
from psmnet.segmentation.checks import require_contrast, wanted_values
from psmnet.segmentation.modality import is_ct, modality_notes
from psmnet.segmentation.result import Segmentation
from psmnet.segmentation.scan_alignment import Levels, align, levels_of, scale_of
from psmnet.segmentation.voting import vote
from psmnet.segmentation.whole_scan import WholeScanSettings
from psmnet.volume import Array, Volume, align_query, as_image, simpleitk, slice_first


@dataclass(frozen=True)
class RegistrationSettings(WholeScanSettings):
    """Settings of registration.

    Attributes:
        spline: refine the affine transform by B-splines.
    """

    spline: bool = True

    def segmenter(self) -> "Registration":
        """Registration with these settings."""
        return Registration(self)


class Registration:
    """Segments scans by registration to labelled ones, with the methods of `Segmenter`.

    Args:
        settings: of the method.

    Example:
        >>> registration = Registration()
        >>> registration.set_support([(image, labels)])                # doctest: +SKIP
        >>> mask = registration.segment(query)                         # doctest: +SKIP
    """

    def __init__(self, settings: RegistrationSettings | None = None) -> None:
        self.settings = settings or RegistrationSettings()
        self._values: list[int] = []
        self._supports: list[_Support] = []
        self._frame: Volume | None = None
        self._scale = 1.0
        self._ct: frozenset[bool] = frozenset()

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values that queries will be given."""
        return tuple(self._values)

    def set_support(self, supports: Sequence[tuple[Volume, Volume]], labels: Sequence[int] | None = None) -> None:
        """Prepare labelled scans, once for all queries.

        Args:
            supports: image and label map on one grid, of each labelled scan.
            labels: label values to segment (default: all).

        Raises:
            InputError: no labelled voxel, image and labels of different shape, or a label value that no support has.
        """
        values = wanted_values(supports, labels)
        first = supports[0][0]
        frame = slice_first(first).apply(first)
        scale = scale_of(frame)
        prepared = []
        for image, mask in supports:
            ranks = _ranks(mask.array_zyx, values)
            held = frozenset((np.unique(ranks[ranks > 1]) - 1).tolist())
            if held:
                view, _ = align_query(frame, image)
                prepared.append(_Support(levels_of(view.apply(image), scale), as_image(image.with_array(ranks)), held))
        self._frame, self._values, self._supports, self._scale = frame, values, prepared, scale
        self._ct = frozenset(is_ct(image.array_zyx) for image, _ in supports)

    def segment(self, query: Volume) -> Volume:
        """The label map of a query, on its own grid, with the support's label values."""
        return self.examine(query).labels

    def examine(self, query: Volume) -> Segmentation:
        """Segment a query; a label's confidence is its mean share of the votes (1 with one support).

        Raises:
            ConfigError: no support has been set.
            InputError: a support can't be registered to the query.
        """
        if self._frame is None:
            raise ConfigError("no support has been set", "call set_support first")
        require_contrast(query, "the scan")
        view, notes = align_query(self._frame, query)
        notes += modality_notes(self._ct, query.array_zyx)
        seen = view.apply(query)
        levels = levels_of(seen, self._scale)
        carried = []
        for number, support in enumerate(self._supports, 1):
            try:
                transform = align(levels, support.levels, self.settings.spline, self._scale)
                carried.append(_carry(support.ranks, seen, transform))
            except RuntimeError as error:
                raise InputError(
                    f"support {number} can't be registered to the scan ({str(error).strip().splitlines()[-1]})",
                    "give a support that shows the same part of the body, in several slices",
                ) from error
        winner, share = vote(carried, [support.held for support in self._supports], len(self._values))
        names = np.array([0, *self._values], dtype=np.min_scalar_type(max(self._values)))
        confidence = {
            value: float(share[winner == rank].mean(dtype=np.float64)) if (winner == rank).any() else 0.0
            for rank, value in enumerate(self._values, 1)
        }
        labels = query.with_array(view.undo(names[winner]))
        return Segmentation(labels, confidence, view, tuple(notes))


@dataclass(frozen=True)
class _Support:
    """A labelled scan: its two resolutions, its label map as ranks, and the ranks (from 1) of the labels it has."""

    levels: Levels
    ranks: Any
    held: frozenset[int]


def _ranks(labels: Array, values: Sequence[int]) -> Array:
    """Renumber labels as 2, 3, ... in the order of `values`, and 1 elsewhere; 0 means outside the scan."""
    ranks = np.ones(labels.shape, dtype=np.min_scalar_type(len(values) + 1))
    for rank, value in enumerate(values, 2):
        ranks[labels == value] = rank
    return ranks


def _carry(ranks: Any, seen: Volume, transform: Any) -> Array:
    """A support's ranks on the query's grid; 0 outside the support.

    Each label is interpolated linearly, and the largest wins: nearest neighbours would leave steps between thick
    slices, and a Gaussian would shrink thin organs.
    """
    sitk = simpleitk()
    carried = sitk.Resample(ranks, as_image(seen), transform, sitk.sitkLabelLinear, 0.0)
    array: Array = sitk.GetArrayFromImage(carried)
    return array
