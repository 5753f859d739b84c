"""Labels for a student, drawn by hand."""

import numpy as np
import pytest

from psmnet.learning.targets import IGNORED, labels_of_probabilities

I = IGNORED  # noqa: E741  # so that the drawings stay drawings
CLOSED, SECOND_OPEN = np.array([False, False]), np.array([False, True])


def volume(*rows: list[float]) -> np.ndarray:
    """Slices of one row each."""
    return np.array(rows, dtype=np.float32)[:, None, :]


@pytest.fixture
def probabilities() -> np.ndarray:
    """(2, 5, 1, 6): both organs lie in slice 2 alone."""
    found = np.zeros((2, 5, 1, 6), dtype=np.float32)
    found[0, 2, 0] = [0.9, 0.55, 0.40, 0.25, 0.0, 0.1]
    found[1, 2, 0] = [0.05, 0.1, 0.10, 0.10, 0.65, 0.7]
    return found


def test_sure_pixels_have_the_label_and_unsure_ones_none(probabilities):
    labels = labels_of_probabilities(probabilities, CLOSED, slice_mm=5, margin_mm=5)
    assert labels[2, 0].tolist() == [1, I, I, 0, 2, 2]


@pytest.mark.parametrize(("margin_mm", "reach"), [(1, 1), (5, 1), (10, 2), (40, 8)])
def test_beyond_its_last_slices_an_organ_may_go_on(probabilities, margin_mm, reach):
    labels = labels_of_probabilities(probabilities, CLOSED, slice_mm=5, margin_mm=margin_mm)
    for z in (0, 1, 3, 4):
        beyond = [I, 0, 0, 0, I, I] if abs(z - 2) <= reach else [0] * 6
        assert labels[z, 0].tolist() == beyond


def test_there_another_organ_keeps_its_label(probabilities):
    probabilities[1, 3, 0, 0] = 0.9
    labels = labels_of_probabilities(probabilities, CLOSED, slice_mm=5, margin_mm=5)
    assert labels[3, 0].tolist() == [2, 0, 0, 0, 0, 0]
    assert labels[4, 0].tolist() == [I, 0, 0, 0, 0, 0]  # below organ 2, which now ends in slice 3


def test_an_open_organ_is_background(probabilities):
    labels = labels_of_probabilities(probabilities, SECOND_OPEN, slice_mm=5, margin_mm=5)
    assert labels[2, 0].tolist() == [1, I, I, 0, 0, 0]
    assert labels[1, 0].tolist() == [I, 0, 0, 0, 0, 0]


def test_organs_compete():
    both = np.stack([volume([0.7, 0.6]), volume([0.6, 0.7])])
    assert labels_of_probabilities(both, CLOSED, slice_mm=5, margin_mm=5)[0, 0].tolist() == [1, 2]
