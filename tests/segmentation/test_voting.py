"""Votes by hand."""

import numpy as np
import pytest

from psmnet.segmentation.voting import vote


def test_votes_by_hand():
    """Three supports see five voxels as ranks + 1 (1 is background, 0 beyond the scan); all have labels 1 and 2."""
    carried = np.array([[2, 2, 2, 2, 1], [2, 3, 1, 0, 2], [3, 1, 1, 1, 0]])
    winner, share = vote(carried[:, None, None], [frozenset({1, 2})] * 3, 2)
    assert winner.ravel().tolist() == [1, 0, 0, 1, 1]
    assert share.ravel() == pytest.approx([2 / 3, 0, 0, 1 / 2, 1 / 2])


def test_equal_votes_go_to_the_lower_label():
    carried = np.array([2, 3]).reshape(2, 1, 1, 1)
    winner, _ = vote(carried, [frozenset({1, 2})] * 2, 2)
    assert winner.item() == 1


def test_only_supports_that_have_a_label_vote_on_it():
    """Label 2 is in the third support alone: its voice is all there is; of label 1 two of three are enough."""
    carried = np.array([[2, 1], [2, 1], [1, 3]])[:, None, None]
    winner, share = vote(carried, [frozenset({1}), frozenset({1}), frozenset({1, 2})], 2)
    assert winner.ravel().tolist() == [1, 2]
    assert share.ravel() == pytest.approx([2 / 3, 1])
