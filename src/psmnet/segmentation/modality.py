"""CT scans: recognised by their values, windowed, and reported in notes."""

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from psmnet.catalog import CT_WINDOW_HU, HU_MINIMUM
from psmnet.data.prepare import window
from psmnet.volume import Array, Normalisation, histogram


def is_ct(array: Array) -> bool:
    """Whether a scan is taken as CT: no other modality has values as low as Hounsfield units."""
    return bool(array.min() <= HU_MINIMUM)


def windowed(array: Array) -> Array:
    """Window a CT scan to soft tissue, as the training data was; return any other scan unchanged."""
    return window(array, CT_WINDOW_HU) if is_ct(array) else array


def modality_notes(supports_ct: Collection[bool], query: Array) -> list[str]:
    """Notes on a query's modality.

    Args:
        supports_ct: for the labelled scans, whether they are CT.
        query: the scan to segment.

    Returns:
        a warning if the query is CT and no labelled scan is, or the reverse; and a note if it is taken as CT.
    """
    ct = is_ct(query)
    notes = []
    if ct not in supports_ct:
        name = "CT" if ct else "no CT"
        notes.append(f"this scan is {name}, unlike the labelled ones: look closely at what was found")
    return [*notes, *taken_as_ct(query)]


def taken_as_ct(scan: Array) -> list[str]:
    """A note if a scan is taken as CT."""
    if not is_ct(scan):
        return []
    low, high = CT_WINDOW_HU
    return [f"taken as CT: the minimum is {scan.min():g}, so intensities are windowed to {low:g}..{high:g} HU"]


def normaliser(array: Array, normalisation: Normalisation) -> Callable[[Array], npt.NDArray[np.float32]]:
    """A function that normalises parts of a scan by the statistics of the whole scan.

    Scans of 16 bits are never copied as a whole.
    """
    ct = is_ct(array)

    def seen(part: Array) -> Array:
        return window(part, CT_WINDOW_HU) if ct else part

    found = histogram(array)
    scale = normalisation.scale(seen(array)) if found is None else normalisation.scale(seen(found[0]), found[1])
    return lambda part: scale.apply(seen(part))
