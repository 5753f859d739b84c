"""What charts are made of: inline SVG that is legible in light and dark, with words under the pointer."""

from collections.abc import Sequence

from psmnet.report.page import escape

MOST_LETTERS = 30
SVG_STYLE = """
:root { --chosen: #1565c0; --other: #6a7480; --grid: #e3e6ea; }
@media (prefers-color-scheme: dark) { :root { --chosen: #6cb2ff; --other: #9aa5b1; --grid: #2a3038; } }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0 0 1.5rem; }
.charts figure {
  margin: 0; padding: .75rem 1rem; max-width: 100%; background: var(--raised); border: 1px solid var(--line);
  border-radius: .5rem;
}
.charts figcaption { font-size: .9375rem; }
svg { display: block; max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg .tick { fill: var(--dim); font-size: 11px; }
.grid { stroke: var(--grid); }
.axis { stroke: var(--dim); }
@media print { .charts figure { break-inside: avoid; } }
"""


def svg_chart(heading: str, described: str, width: float, height: float, parts: Sequence[str]) -> str:
    """A drawing under its heading; `described` is for those who can not see it."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    svg = f'<svg {size} role="img" aria-label="{escape(described)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(heading)}</figcaption>{svg}</figure>"


def svg_line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A straight line of a CSS class."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def svg_dot(x: float, y: float, radius: float, told: str) -> str:
    """A dot, and what is told under the pointer."""
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(told)}</title></circle>'


def svg_text(
    words: str, x: float, y: float, *, anchor: str = "middle", kind: str = "name", upright: bool = False
) -> str:
    """Text of a CSS class; a long one is cut, and whole under the pointer."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upright else ""
    said = escape(words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…")
    full = f"<title>{escape(words)}</title>" if len(words) > MOST_LETTERS else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{full}{said}</text>'
