"""Box plots and scatter plots as inline SVG: legible in light and dark, and with each scan's name under the pointer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from psmnet.report import MOST_LETTERS, SVG_STYLE, escape, svg_chart, svg_dot, svg_line, svg_text

STYLE = (
    SVG_STYLE
    + """
.box { fill: var(--other); fill-opacity: .16; stroke: var(--other); }
.whisker { stroke: var(--other); }
.median { stroke: var(--other); stroke-width: 2.5; }
.dot { fill: var(--other); fill-opacity: .75; }
.chosen .box { fill: var(--chosen); stroke: var(--chosen); }
.chosen .whisker, .chosen .median { stroke: var(--chosen); }
.chosen .dot { fill: var(--chosen); }
.chosen text { font-weight: 600; }
.partial .box { stroke-dasharray: 3 3; }
"""
)

FEWEST_FOR_A_BOX = 5
LETTER_PX = 8.5  # of bold letters in a wide font
SEPARATORS = " ,-_="  # behind which a long name may be broken
ROW_PX, PLOT_PX, SIDE_PX = 30, 250, 240
DOTS_OFFSETS = (0, -3, 3, -5, 5)  # so that scans of one value can be told apart


@dataclass(frozen=True)
class Line:
    """One line of a box plot.

    Attributes:
        name: of the method.
        values: scan to value.
        chosen: drawn in colour.
        partial: drawn dashed, because something is missing.
    """

    name: str
    values: Mapping[str, float]
    chosen: bool = False
    partial: bool = False


def lower_bound(values: Sequence[float]) -> float:
    """Where an axis up to 1 begins that holds all values: the same for all plots of a table, or they would mislead."""
    return max(0.0, min(0.8, math.floor(min(values, default=0.0) * 10) / 10))


def box_plot(heading: str, lines: Sequence[Line], low: float) -> str:
    """Box (quartiles), median, whiskers (the farthest scans within 1.5 times the box), and every scan as a dot."""
    left = LETTER_PX * min(MOST_LETTERS, max(len(line.name) for line in lines)) + 12
    width, height = left + PLOT_PX + 14, ROW_PX * len(lines) + 26

    def x(value: float) -> float:
        return left + (value - low) / (1 - low) * PLOT_PX

    parts = []
    for tick in _ticks(low):
        parts.append(svg_line("grid", x(tick), 2, x(tick), height - 20))
        parts.append(svg_text(f"{tick:.2g}", x(tick), height - 5, kind="tick"))
    for number, line in enumerate(lines):
        kinds = " ".join(["line", *["chosen"] * line.chosen, *["partial"] * line.partial])
        middle = ROW_PX * (number + 0.5) + 4
        parts.append(f'<g class="{kinds}">')
        parts.append(_label(line.name, left - 10, middle + 4))
        values = list(line.values.values())
        if len(values) >= FEWEST_FOR_A_BOX:
            first, third = (float(quartile) for quartile in np.percentile(values, (25, 75)))
            reach = 1.5 * (third - first)
            inside = [value for value in values if first - reach <= value <= third + reach]
            parts.append(svg_line("whisker", x(min(inside)), middle, x(max(inside)), middle))
            box = f'x="{x(first):.1f}" y="{middle - 8:.1f}" width="{max(1.0, x(third) - x(first)):.1f}" height="16"'
            parts.append(f'<rect class="box" {box} rx="2"/>')
        if values:
            median = x(float(np.median(values)))
            parts.append(svg_line("median", median, middle - 8, median, middle + 8))
        else:
            parts.append(svg_text("no value", left + 6, middle + 4, anchor="start", kind="tick"))
        for dot, (name, value) in enumerate(line.values.items()):
            y = middle + DOTS_OFFSETS[dot % len(DOTS_OFFSETS)]
            parts.append(svg_dot(x(value), y, 2.2, f"{name}: {value:.3f}"))
        parts.append("</g>")
    return svg_chart(heading, f"{heading}: one line per method", width, height, parts)


def scatter(heading: str, across: str, upward: str, points: Mapping[str, tuple[float, float]], low: float) -> str:
    """Every scan by two methods; above the diagonal the upward one is better."""
    left, top, bottom = 44, 8, 40
    width, height = left + SIDE_PX + 12, top + SIDE_PX + bottom

    def x(value: float) -> float:
        return left + (value - low) / (1 - low) * SIDE_PX

    def y(value: float) -> float:
        return top + (1 - value) / (1 - low) * SIDE_PX

    parts = []
    for tick in _ticks(low):
        parts.append(svg_line("grid", x(tick), top, x(tick), y(low)))
        parts.append(svg_line("grid", left, y(tick), x(1), y(tick)))
        parts.append(svg_text(f"{tick:.2g}", x(tick), y(low) + 15, kind="tick"))
        parts.append(svg_text(f"{tick:.2g}", left - 6, y(tick) + 4, anchor="end", kind="tick"))
    parts.append(svg_line("axis", x(low), y(low), x(1), y(1)))
    parts += [svg_dot(x(a), y(b), 3.5, f"{name}: {a:.3f}, {b:.3f}") for name, (a, b) in points.items()]
    parts.append(svg_text(across, left + SIDE_PX / 2, height - 5))
    parts.append(svg_text(upward, 11, top + SIDE_PX / 2, upright=True))
    return svg_chart(heading, f"{upward} against {across}, one dot per scan", width, height, parts)


def _label(name: str, x: float, y: float) -> str:
    """A name that ends at x, on two lines if it is long; what does not fit there is under the pointer."""
    if len(name) <= MOST_LETTERS:
        return svg_text(name, x, y, anchor="end")
    # After a sign that separates, if there is one late in the line.
    cut = max((name.rfind(sign, MOST_LETTERS // 2, MOST_LETTERS) + 1 for sign in SEPARATORS), default=0) or MOST_LETTERS
    first, second = name[:cut], name[cut:].lstrip()
    if len(second) > MOST_LETTERS:
        second = f"{second[: MOST_LETTERS - 1]}…"
    lines = ((first, y - 7), (second, y + 7))
    spans = "".join(f'<tspan x="{x:.1f}" y="{place:.1f}">{escape(line)}</tspan>' for line, place in lines)
    return f'<text class="name" text-anchor="end"><title>{escape(name)}</title>{spans}</text>'


def _ticks(low: float) -> Iterator[float]:
    step = 5 if low >= 0.75 else 10 if low >= 0.4 else 20
    for hundredth in range(0, 101, step):
        if hundredth >= round(low * 100):
            yield hundredth / 100
