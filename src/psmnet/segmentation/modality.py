"""CT among the scans: known by its values, windowed, and told of."""

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from psmnet.catalog import CT_WINDOW_HU, HU_MINIMUM
from psmnet.data.prepare import window
from psmnet.volume import Array, Normalisation, histogram


def is_ct(array: Array) -> bool:
    """Whether a scan is taken as CT: no other reaches as low as Hounsfield units do."""
    return bool(array.min() <= HU_MINIMUM)


def windowed(array: Array) -> Array:
    """Soft tissue of a scan in Hounsfield units, as the weights' training was; any other scan as it is."""
    return window(array, CT_WINDOW_HU) if is_ct(array) else array


def modality_notes(supports_ct: Collection[bool], query: Array) -> list[str]:
    """What a user should know of a query's modality.

    Args:
        supports_ct: whether labelled scans are CT.
        query: the scan to segment.

    Returns:
        a note if it is CT and no labelled scan is, or the other way round; and one if it is taken as CT.
    """
    ct = is_ct(query)
    notes = []
    if ct not in supports_ct:
        name = "CT" if ct else "no CT"
        notes.append(f"this scan is {name}, unlike the labelled ones: look closely at what was found")
    if ct:
        low, high = CT_WINDOW_HU
        reason = f"the minimum is {query.min():g}"
        notes.append(f"taken as CT: {reason}, so intensities are windowed to {low:g}..{high:g} HU")
    return notes


def normaliser(array: Array, normalisation: Normalisation) -> Callable[[Array], npt.NDArray[np.float32]]:
    """What normalises parts of a scan by the statistics of all of it; of 16 bits, it is never copied whole."""
    ct = is_ct(array)

    def seen(part: Array) -> Array:
        return window(part, CT_WINDOW_HU) if ct else part

    found = histogram(array)
    scale = normalisation.scale(seen(array)) if found is None else normalisation.scale(seen(found[0]), found[1])
    return lambda part: scale.apply(seen(part))
