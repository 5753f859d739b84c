"""What a person should look at first: flags on organs, from confidence and from how a cohort's volumes vary."""

import math
from collections.abc import Sequence

import numpy as np

from psmnet.cohort.records import SegmentedOrgan, SegmentedScan

UNSURE = 0.85  # mean probability below which an organ is looked at: a fifth of CHAOS's, their mean Dice 0.64, not 0.78
FEWEST = 8  # volumes without which none is unusual
OUTLYING = 3.0  # of the robust standard deviation, on logarithms: twice and half are equally far
LEAST_RATIO = 1.3  # from the median, however alike the others are
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def flags(entries: Sequence[SegmentedScan]) -> dict[str, dict[str, list[str]]]:
    """Flags of each scan's organs.

    Args:
        entries: of scans that were segmented by the same labels.

    Returns:
        by name of the scan and of the organ: "not found", "unsure", "cut off" (it reaches the scan's first or last
        slice, and in no labelled scan) or "unusual volume" (against the others').
    """
    volumes: dict[str, list[float]] = {}
    for entry in entries:
        for organ, found in entry.labels.items():
            if found.volume_ml > 0:
                volumes.setdefault(organ, []).append(math.log(found.volume_ml))
    usual = {organ: _range(logs) for organ, logs in volumes.items() if len(logs) >= FEWEST}
    return {
        entry.name: {organ: _flags(found, usual.get(organ)) for organ, found in entry.labels.items()}
        for entry in entries
    }


def _flags(found: SegmentedOrgan, usual: tuple[float, float] | None) -> list[str]:
    if found.volume_ml == 0:
        return ["not found"]
    told = ["unsure"] if found.confidence < UNSURE else []
    if usual is not None and not usual[0] <= math.log(found.volume_ml) <= usual[1]:
        told.append("unusual volume")
    return [*told, "cut off"] if found.cut_off else told


def _range(logs: Sequence[float]) -> tuple[float, float]:
    middle = float(np.median(logs))
    deviation = NORMAL_MAD * float(np.median(np.abs(np.asarray(logs) - middle)))
    reach = max(OUTLYING * deviation, math.log(LEAST_RATIO))
    return middle - reach, middle + reach
