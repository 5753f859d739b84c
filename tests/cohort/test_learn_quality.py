"""The rule by which a learning warns that its masks are likely poor."""

import pytest

from psmnet.cohort.learn_quality import quality_warning
from psmnet.cohort.learn_record import JudgedOrgan, JudgedScan, LearnRecord


def record_of(*organs: JudgedOrgan) -> LearnRecord:
    scans = [JudgedScan(query=f"{n}.nii", name=str(n), organs={"liver": organ}) for n, organ in enumerate(organs)]
    return LearnRecord(key="a", job_key="b", supports=[], labels={1: "liver"}, scans=scans)


def organ(final: float, vote_student: float | None) -> JudgedOrgan:
    return JudgedOrgan(first=0.9, vote=0.9, final=final, vote_student=vote_student)


def test_the_mean_of_the_smaller_figures_counts():
    """min(0.9, 0.5) = 0.5 and min(0.7, 0.8) = 0.7 have the mean 0.6, which is just enough; 0.59 is not."""
    assert quality_warning(record_of(organ(0.9, 0.5), organ(0.7, 0.8))) is None
    warning = quality_warning(record_of(organ(0.9, 0.5), organ(0.68, 0.8)))
    assert warning is not None
    assert warning.startswith("warning: the masks are probably poor (confidence and agreement 0.59, below 0.60)")


@pytest.mark.parametrize(("final", "warned"), [(0.59, True), (0.61, False)])
def test_without_a_network_the_confidence_counts(final, warned):
    assert (quality_warning(record_of(organ(final, None))) is not None) is warned


def test_no_scan_no_warning():
    assert quality_warning(record_of()) is None
