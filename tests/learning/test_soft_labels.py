"""Confidence and agreement of probabilities, by hand."""

import numpy as np
import pytest

from psmnet.learning.soft_labels import LEVELS, agreement, as_levels, confidence, shares_of
from psmnet.segmentation.student_view import StudentView
from psmnet.volume.normalisation import Normalisation
from psmnet.volume.volume import Volume


def maps(*organs: list[int]) -> np.ndarray:
    return np.array(organs, dtype=np.uint8)[:, None, None, :]


def test_confidence_is_the_mean_where_an_organ_wins():
    """Organ 1 wins pixels 0 and 1 with 255 and 153; pixel 2 has no winner above a half; organ 3 wins nowhere."""
    found = confidence(maps([255, 153, 120, 0], [0, 102, 100, 204], [0, 0, 0, 10]))
    assert found.tolist() == pytest.approx([0.8, 0.8, 0.0])


def test_confidence_of_bytes_and_of_floats_is_the_same():
    levels = np.random.default_rng(0).integers(0, 256, (3, 2, 5, 5), dtype=np.uint8)
    assert confidence(levels / np.float32(LEVELS)).tolist() == pytest.approx(confidence(levels).tolist())
    assert np.array_equal(as_levels(levels / np.float32(LEVELS)), levels)


def test_agreement_is_dice():
    """Organ 1: two pixels and one, one in common: 2/3. Organ 2 only in the second: 0. Organ 3 nowhere: 0."""
    one = maps([200, 200, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    other = maps([200, 0, 0, 0], [0, 0, 0, 200], [0, 0, 0, 0])
    assert agreement(one, other).tolist() == pytest.approx([2 / 3, 0, 0])
    assert agreement(one, one).tolist() == [1, 0, 0]


def test_shares_of_labels_at_the_students_pixels():
    """Pixels of 4 mm over voxels of 2 mm: each pixel has the mean of 2 x 2 voxels."""
    image = Volume(np.random.default_rng(1).normal(size=(2, 16, 16)).astype(np.float32), (2.0, 2.0, 6.0))
    view = StudentView.of([image], Normalisation("clip-zscore"))
    view = StudentView(view.direction, view.spacing_mm, 4.0, 14.0, view.normalisation)
    array = np.zeros((2, 16, 16), dtype=np.uint8)
    array[:, :8, :8], array[:, 8:, 8:] = 1, 7
    turn, _ = view.turn(image)
    shares = shares_of(image.with_array(array), view, turn, (1, 7))
    assert shares.shape[:2] == (2, 2)
    assert shares.dtype == np.uint8
    cover = shares.astype(float).sum(axis=(2, 3)) / LEVELS
    assert cover == pytest.approx(np.full((2, 2), 16.0), rel=0.15)  # 8 x 8 voxels are 4 x 4 pixels
