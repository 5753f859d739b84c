"""Masks of several stages side by side."""

import numpy as np
import pytest
from PIL import Image

from psmnet.report.overlay import GAP_PX, colour_of
from psmnet.report.slices import spread_slices
from psmnet.report.stages import HEADING_PX, draw_stages
from psmnet.volume.volume import Volume


@pytest.fixture
def scan() -> Volume:
    return Volume(np.zeros((8, 40, 50), dtype=np.float32), (2.0, 2.0, 5.0))


def test_a_row_for_each_slice_and_a_column_for_each_stage(scan, tmp_path):
    """The first stage shows label 1 in the left half of slices 2 to 7, the second label 2 in the right half."""
    first, last = np.zeros((2, 8, 40, 50), dtype=np.uint8)
    first[2:, :, :25] = 1
    last[2:, :, 25:] = 2
    draw_stages(scan, {"first": first, "last": last}, tmp_path / "a.jpg", height_px=80)
    with Image.open(tmp_path / "a.jpg") as opened:
        picture = np.asarray(opened).astype(int)
    assert picture.shape == (HEADING_PX + 3 * 80 + 2 * GAP_PX, 2 * 100 + GAP_PX, 3)
    for row in range(3):
        middle = HEADING_PX + row * (80 + GAP_PX) + 40
        for left, inside, outside, value in ((0, 25, 75, 1), (100 + GAP_PX, 75, 25, 2)):
            shade = np.array(colour_of(value)) * 0.2
            assert np.abs(picture[middle, left + inside] - shade).max() < 12
            assert picture[middle, left + outside].max() < 12


def test_slices_are_spread_over_those_with_a_label():
    assert spread_slices(np.array([False, False] + 6 * [True]), 3) == [3, 5, 7]
    assert spread_slices(np.array([False, True, False]), 3) == [1]
    assert spread_slices(np.zeros(6, dtype=bool), 3) == [1, 3, 5]


def test_nothing_found_is_drawn_all_the_same(scan, tmp_path):
    nothing = np.zeros((8, 40, 50), dtype=np.uint8)
    draw_stages(scan, {"first masks": nothing}, tmp_path / "a.jpg", height_px=60, slices=2)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.size == (75, HEADING_PX + 120 + GAP_PX)
