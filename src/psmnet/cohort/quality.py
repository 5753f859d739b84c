"""Flags on organs that a person should check first, from confidence and from the volumes of the cohort."""

import math
from collections.abc import Sequence

import numpy as np

from psmnet.cohort.records import SegmentedOrgan, SegmentedScan

UNSURE = 0.85  # mean probability below which an organ is flagged: a fifth of CHAOS's, mean Dice 0.64 against 0.78
FEWEST = 8  # volumes needed before one can be called unusual
OUTLYING = 3.0  # robust standard deviations of the logarithm, in which twice and half are equally far
LEAST_RATIO = 1.3  # to the median, even if the other volumes are almost equal
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def flags(entries: Sequence[SegmentedScan]) -> dict[str, dict[str, list[str]]]:
    """Flags of each scan's organs.

    Args:
        entries: scans segmented from the same supports.

    Returns:
        scan name to organ name to flags: "not found", "unsure", "cut off" (the organ reaches the scan's first or last
        slice, but does not in any support) and "unusual volume" (compared with the other scans).
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
    reasons = ["unsure"] if found.confidence < UNSURE else []
    if usual is not None and not usual[0] <= math.log(found.volume_ml) <= usual[1]:
        reasons.append("unusual volume")
    return [*reasons, "cut off"] if found.cut_off else reasons


def _range(logs: Sequence[float]) -> tuple[float, float]:
    middle = float(np.median(logs))
    deviation = NORMAL_MAD * float(np.median(np.abs(np.asarray(logs) - middle)))
    reach = max(OUTLYING * deviation, math.log(LEAST_RATIO))
    return middle - reach, middle + reach
