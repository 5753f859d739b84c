"""The rule by which a learning warns that its masks are likely poor."""

import pytest

from psmnet.cohort.learn_quality import quality_warning
from psmnet.cohort.learn_record import JudgedOrgan, JudgedScan, LearnRecord


def organ(vote: float | None, registration: float | None = None, final: float = 0.9) -> JudgedOrgan:
    return JudgedOrgan(first=0.9, vote=0.9, final=final, vote_student=vote, student_registration=registration)


def record_of(liver: list[JudgedOrgan], spleen: list[JudgedOrgan]) -> LearnRecord:
    scans = [
        JudgedScan(query=f"{n}.nii", name=str(n), organs={"liver": one, "spleen": other})
        for n, (one, other) in enumerate(zip(liver, spleen, strict=True))
    ]
    return LearnRecord(key="a", job_key="b", supports=[], labels={1: "liver", 4: "spleen"}, scans=scans)


def test_the_better_agreement_counts():
    """Liver: 0.9 and 0.8, mean 0.85; spleen 0.71 twice: the mean of both is 0.78, which is just enough."""
    liver = [organ(0.9, 0.5), organ(0.6, 0.8)]
    assert quality_warning(record_of(liver, [organ(0.71, 0.1), organ(0.71)])) is None
    warning = quality_warning(record_of(liver, [organ(0.67, 0.1), organ(0.71)]))
    assert warning is not None
    assert warning.startswith("warning: the masks are probably poor (estimated mean Dice 0.77)")


def test_an_organ_that_is_lost_is_named_however_good_the_others_are():
    warning = quality_warning(record_of([organ(1.0), organ(1.0)], [organ(0.6, 0.1), organ(0.3, 0.39)]))
    assert warning is not None
    assert "probably poor, spleen most of all (estimated mean Dice 0.75)" in warning
    good = quality_warning(record_of([organ(1.0), organ(1.0)], [organ(0.6), organ(0.6)]))
    assert good is None


@pytest.mark.parametrize(("final", "warned"), [(0.77, True), (0.79, False)])
def test_without_a_network_the_confidence_counts(final, warned):
    one = organ(None, final=final)
    assert (quality_warning(record_of([one], [one])) is not None) is warned


def test_no_scan_no_warning():
    assert quality_warning(record_of([], [])) is None
