import math

import numpy as np
import pytest
import torch

from psmnet.segmentation.inference import smoothed_across


def test_a_slice_takes_from_its_neighbours_by_distance():
    """Three slices 8 mm apart under a Gaussian of 4 mm: neighbours weigh exp(-2), the next but one exp(-8)."""
    near, far = math.exp(-2), math.exp(-8)
    smooth = smoothed_across(torch.tensor([0.0, 6.0, 0.0])[:, None], np.arange(3), 8.0, 4.0)[:, 0]
    assert smooth[1] == pytest.approx(6 / (1 + 2 * near))
    assert smooth[0] == pytest.approx(6 * near / (1 + near + far))


def test_missing_slices_are_farther_apart():
    margins = torch.tensor([0.0, 6.0])[:, None]
    together = smoothed_across(margins, np.array([4, 5]), 8.0, 4.0)
    apart = smoothed_across(margins, np.array([4, 6]), 8.0, 4.0)
    assert together[0, 0] == pytest.approx(6 * math.exp(-2) / (1 + math.exp(-2)))
    assert apart[0, 0] == pytest.approx(6 * math.exp(-8) / (1 + math.exp(-8)))


def test_the_same_in_all_slices_stays():
    margins = torch.full((5, 1, 3, 3), 2.5)
    torch.testing.assert_close(smoothed_across(margins, np.arange(5), 1.0, 6.0), margins)


def test_none_is_none():
    margins = torch.randn(4, 1, 2, 2)
    assert smoothed_across(margins, np.arange(4), 1.0, 0.0) is margins
    assert smoothed_across(margins[:1], np.arange(1), 1.0, 6.0).equal(margins[:1])
