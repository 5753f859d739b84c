import math

import pytest

from psmnet.cohort.quality import flags
from psmnet.cohort.records import SegmentedOrgan, SegmentedScan


def entry(name: str, volume_ml: float, confidence: float = 0.9, cut_off: bool = False):
    organ = SegmentedOrgan(value=1, volume_ml=volume_ml, confidence=confidence, cut_off=cut_off)
    return SegmentedScan(query=name, name=name, mask="", overlay="", confidence=confidence, labels={"liver": organ})


def told(entries, name):
    return flags(entries)[name]["liver"]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (entry("a", 0.0, 0.0, True), ["not found"]),
        (entry("a", 5.0, 0.849), ["unsure"]),
        (entry("a", 5.0, 0.85), []),
        (entry("a", 5.0, 0.5, True), ["unsure", "cut off"]),
    ],
)
def test_flags_of_a_lone_scan(one, expected):
    assert told([one], "a") == expected


def test_a_volume_is_unusual_against_eight_others_and_more():
    """Volumes e^-3..e^3: the median is 1, the median deviation 2 on logarithms, so that the range is 3 x 1.4826 x 2."""
    logs = [-3.0, -2.0, -2.0, 0.0, 0.0, 2.0, 2.0, 3.0]
    reach = 3 * 1.4826 * 2.0
    cohort = [entry(str(i), math.exp(value)) for i, value in enumerate(logs)]
    assert not any(found["liver"] for found in flags(cohort).values())
    for value, expected in ((reach + 0.01, ["unusual volume"]), (-reach - 0.01, ["unusual volume"]), (0.9 * reach, [])):
        odd = [*cohort, entry("odd", math.exp(value))]
        assert told(odd, "odd") == expected
    assert told([*cohort[2:-1], entry("odd", math.exp(30))], "odd") == []  # of six, who knows


def test_alike_volumes_may_differ_by_a_third():
    cohort = [entry(str(i), 100.0) for i in range(8)]
    assert told([*cohort, entry("odd", 129.0)], "odd") == []
    assert told([*cohort, entry("odd", 131.0)], "odd") == ["unusual volume"]


def test_those_not_found_do_not_count_as_volumes():
    cohort = [entry(str(i), 100.0) for i in range(8)] + [entry(f"none{i}", 0.0) for i in range(20)]
    assert told([*cohort, entry("odd", 200.0)], "odd") == ["unusual volume"]
