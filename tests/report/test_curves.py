"""Curves of a training as SVG."""

import math
import re

import pytest

from psmnet.report.curves import LEFT, PLOT_PX, POINTS, TOP, curve_plot


def points(svg: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'<polyline class="curve curve-\d" points="([^"]+)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]


def test_a_line_is_where_its_values_are():
    """0 lies at the bottom, the highest tick (4 times 0.5) at the top; steps 1 and 3 at the ends."""
    (line,) = points(curve_plot("Losses", "step", {"loss": [(1, 2.0), (2, 1.0), (3, 0.0)]}))
    left, right, top, bottom = LEFT, LEFT + PLOT_PX[0], TOP, TOP + PLOT_PX[1]
    assert line == [(left, top), ((left + right) / 2, (top + bottom) / 2), (right, bottom)]


@pytest.mark.parametrize(("highest", "ticks"), [(2.0, "0.5"), (0.9, "0.25"), (7.0, "2"), (0.03, "0.01")])
def test_ticks_are_round(highest, ticks):
    assert f">{ticks}</text>" in curve_plot("Losses", "step", {"loss": [(1, highest), (2, 0.0)]})


def test_many_steps_are_averaged():
    steps = [(step, float(step % 2)) for step in range(10 * POINTS)]
    (line,) = points(curve_plot("Losses", "step", {"loss": steps}))
    assert len(line) == POINTS
    assert len({y for _, y in line}) == 1  # the means of 5 zeros and 5 ones


def test_values_that_are_not_finite_and_empty_curves_are_left_out():
    svg = curve_plot("Losses", "step", {"a": [(1, 1.0), (2, math.nan), (3, 1.0)], "b": []})
    assert [len(line) for line in points(svg)] == [2]
    assert ">b</text>" not in svg
    assert points(curve_plot("Losses", "step", {})) == []


def test_names_are_escaped():
    assert "<b>" not in curve_plot("<b>", "<b>", {"<b>": [(1, 1.0)]})
