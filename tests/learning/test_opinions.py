"""How vote, registration and student are weighed."""

from dataclasses import replace

import numpy as np
import pytest

from psmnet.learning.first_masks import FIRST, FirstMask
from psmnet.learning.opinions import Opinions, weight_of_registration
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.student_masks import STUDENT, StudentMask
from psmnet.learning.taught import open_organs
from psmnet.learning.vote import VOTE, VotedMask
from psmnet.segmentation.likeness import ScanFacts
from psmnet.volume.volume import Volume

FACTS = ScanFacts.of(Volume(np.zeros((1, 2, 2)), (1.0, 1.0, 1.0)), np.zeros(2))


def student_mask(with_vote: float, with_registration: float | None) -> StudentMask:
    registered = None if with_registration is None else (with_registration,)
    return StudentMask("a", "s", (0.9,), (with_vote,), registered, FACTS)


@pytest.fixture
def opinions(tmp_path) -> Opinions:
    """One pixel of one organ: vote 0.2, registered 1.0, student 0.6."""

    def level(value: int) -> np.ndarray:
        return np.full((1, 1, 1, 1), value, dtype=np.uint8)

    store = ScanStore(tmp_path, "a")
    store.save(FIRST, "f", registered=level(255))
    store.save(VOTE, "v", probabilities=level(51))
    store.save(STUDENT, "s", probabilities=level(153))
    return Opinions(
        tmp_path, {"a": FirstMask("a", "f", "c", 5.0, (0.2,), (0.0,))}, {"a": VotedMask("a", "v", (0.2,), (0.3,))}
    )


def changed(opinions: Opinions, **changes: object) -> Opinions:
    return replace(opinions, **changes)


def test_vote_and_registration_are_weighed_and_the_student_takes_their_place(opinions):
    """A quarter of registration: 0.75 * 0.2 + 0.25 * 1."""
    weighed = changed(opinions, registration=(0.25,))
    assert opinions.probabilities("a").item() == pytest.approx(0.2)
    assert weighed.probabilities("a").item() == pytest.approx(0.4)
    assert changed(weighed, student={"a": student_mask(0.9, 0.1)}).probabilities("a").item() == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("with_vote", "with_registration", "expected"), [(0.29, 0.1, 0.2), (0.1, 0.31, 0.6), (0.31, None, 0.6)]
)
def test_an_organ_that_the_student_has_lost_is_left_to_the_vote(opinions, with_vote, with_registration, expected):
    judged = {"a": student_mask(with_vote, with_registration)}
    assert changed(opinions, student=judged).probabilities("a").item() == pytest.approx(expected)


def test_the_key_is_of_all_that_is_weighed(opinions):
    found, lost = {"a": student_mask(0.9, 0.5)}, {"a": student_mask(0.1, 0.1)}
    changes = ({}, {"registration": (0.5,)}, {"student": found}, {"student": lost})
    assert len({changed(opinions, **change).key("a") for change in changes}) == 4


def test_registration_counts_as_much_as_the_student_agrees_with_it():
    """Equal: a half. 0.05 more with the vote: 1 / (1 + e)."""
    assert weight_of_registration([student_mask(0.8, 0.8)]) == pytest.approx((0.5,))
    assert weight_of_registration([student_mask(0.8, 0.75)]) == pytest.approx((1 / (1 + np.e),))
    assert weight_of_registration([student_mask(0.9, 0.7), student_mask(0.7, 0.9)]) == pytest.approx((0.5,))
    assert weight_of_registration([student_mask(0.8, None)]) == (0.0,)


def test_the_surest_scans_teach_an_organ():
    """Of four scans the surer half, by organ; a fifth makes it three. Not found is never taught."""
    sure = {"a": (0.9, 0.0), "b": (0.8, 0.7), "c": (0.7, 0.0), "d": (0.6, 0.0)}
    opened = open_organs({name: np.array(values) for name, values in sure.items()}, 0.5)
    assert {name: flags.tolist() for name, flags in opened.items()} == {
        "a": [False, True],
        "b": [False, False],
        "c": [True, True],
        "d": [True, True],
    }
    five = {**sure, "e": (0.5, 0.6)}
    opened = open_organs({name: np.array(values) for name, values in five.items()}, 0.5)
    assert [name for name, flags in opened.items() if not flags[0]] == ["a", "b", "c"]
    assert [name for name, flags in opened.items() if not flags[1]] == ["b", "e"]
