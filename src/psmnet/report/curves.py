"""Losses of a training over its steps, as inline SVG."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from psmnet.report.svg import SVG_STYLE, svg_chart, svg_line, svg_text

PLOT_PX = 420, 200
LEFT, TOP, RIGHT, BOTTOM = 52, 10, 16, 46
POINTS = 120  # of a curve; each is the mean of some steps, since single batches differ much
TICKS = 4
LEGEND_PX = 130
CURVES_STYLE = (
    SVG_STYLE
    + """
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve-0 { stroke: var(--chosen); }
.curve-1 { stroke: var(--other); stroke-dasharray: 6 3; }
.curve-2 { stroke: var(--ink); stroke-dasharray: 2 3; }
"""
)
KINDS = 3


def curve_plot(heading: str, across: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A line for each curve, from 0 up; at most three can be told apart.

    Args:
        heading: above the plot.
        across: what the x axis shows.
        curves: name to points (x, y), x ascending; values that are not finite are left out.
    """
    means = {name: _averaged(points) for name, points in curves.items()}
    drawn = {name: points for name, points in means.items() if points}
    width, height = LEFT + PLOT_PX[0] + RIGHT, TOP + PLOT_PX[1] + BOTTOM
    first = min((points[0][0] for points in drawn.values()), default=0.0)
    last = max((points[-1][0] for points in drawn.values()), default=1.0)
    step = _step(max((y for points in drawn.values() for _, y in points), default=1.0))
    highest = TICKS * step

    def x(value: float) -> float:
        return LEFT + (value - first) / max(last - first, 1e-9) * PLOT_PX[0]

    def y(value: float) -> float:
        return TOP + (1 - value / highest) * PLOT_PX[1]

    parts = []
    for number in range(TICKS + 1):
        level = number * step
        parts.append(svg_line("axis" if number == 0 else "grid", x(first), y(level), x(first) + PLOT_PX[0], y(level)))
        parts.append(svg_text(f"{level:g}", LEFT - 8, y(level) + 4, anchor="end", kind="tick"))
    for number, (name, points) in enumerate(drawn.items()):
        kind = f"curve curve-{number % KINDS}"
        places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        parts.append(f'<polyline class="{kind}" points="{places}"/>')
        left = LEFT + number * LEGEND_PX
        parts.append(svg_line(kind, left, height - 10, left + 22, height - 10))
        parts.append(svg_text(name, left + 28, height - 6, anchor="start"))
    for value, anchor in ((first, "start"), (last, "end")):
        parts.append(svg_text(f"{value:g}", x(value), y(0) + 16, anchor=anchor, kind="tick"))
    parts.append(svg_text(across, LEFT + PLOT_PX[0] / 2, y(0) + 16, kind="tick"))
    return svg_chart(heading, f"{heading}: {', '.join(drawn) or 'no value'}", width, height, parts)


def _averaged(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most POINTS points, each the mean of equally many neighbours."""
    finite = np.array([point for point in points if math.isfinite(point[1])], dtype=np.float64)
    if len(finite) == 0:
        return []
    parts = np.array_split(finite, min(POINTS, len(finite)))
    return [(float(a), float(b)) for a, b in (part.mean(axis=0) for part in parts)]


def _step(highest: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten, TICKS of which reach the highest value."""
    needed = max(highest, 1e-6) / TICKS
    power = float(10.0 ** math.floor(math.log10(needed)))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= needed * (1 - 1e-9))
