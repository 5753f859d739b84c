"""Page of a learning: each scan's masks by stage, tables, curves, and what to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psmnet.report.curves import CURVES_STYLE
from psmnet.report.overlay import css_colour
from psmnet.report.page import PageTable, escape, paragraph, picture_block, table_block, write_document

STYLE = (
    CURVES_STYLE
    + """
.tables { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0 1.25rem; }
.notes { margin: 0 0 1.5rem; padding: 0 0 0 1.25rem; max-width: 46rem; overflow-wrap: anywhere; }
.warning { color: #b3261e; font-weight: 600; }
@media (prefers-color-scheme: dark) { .warning { color: #ff8a80; } }
.key { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; margin: 0 0 1rem; padding: 0; list-style: none; }
.key svg { display: inline-block; margin: 0 .4rem -.1rem 0; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem; }
.sheet article { padding: .75rem; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; }
.sheet figure { margin: 0; }
.sheet p { margin: .5rem 0 0; font-size: .875rem; }
.sheet .scroll { width: auto; }
.sheet img { width: 100%; max-width: 100%; }
@media print { .sheet article { break-inside: avoid; } }
"""
)


@dataclass(frozen=True)
class StageCard:
    """One scan.

    Attributes:
        name: of the scan.
        picture: JPEG of its masks by stage; None if there is none.
        flags: what to check, a few words each.
        text: other facts.
    """

    name: str
    picture: Path | None
    flags: tuple[str, ...]
    text: str


def write_learning_page(
    path: Path,
    *,
    title: str,
    intro: str,
    notes: Sequence[str],
    organs: Mapping[int, str],
    tables: Sequence[PageTable],
    cards: Sequence[StageCard],
    plots: Sequence[str],
    facts: Sequence[PageTable],
) -> None:
    """Write the self-contained page.

    Args:
        path: the HTML file to write; it appears complete or not at all.
        title, intro, tables: as `write_page` takes them.
        notes: remarks; those that begin with "warning: " are marked.
        organs: label value to name, for the key of colours.
        cards: scans, in this order.
        plots: charts of the training, as inline SVG.
        facts: further tables, at the end.

    Raises:
        InputError: a picture can't be read, or the page can't be written.
    """
    body = []
    if notes:
        body += ["<section>", '<ul class="notes">', *map(_note, notes), "</ul>", "</section>"]
    body += ['<section class="tables">', *(table_block(table) for table in tables), "</section>"]
    body += ["<section>", "<h2>Scans</h2>", _key(organs), '<div class="sheet">']
    body += [*map(_card, cards), "</div>", "</section>"]
    body += ["<section>", "<h2>How it was learned</h2>", '<div class="charts">', *plots, "</div>"]
    body += ['<div class="tables">', *(table_block(table) for table in facts), "</div>", "</section>"]
    write_document(path, title=title, intro=intro, body=body, style=STYLE)


def _note(text: str) -> str:
    kind = ' class="warning"' if text.startswith("warning: ") else ""
    return f"<li{kind}>{escape(text)}</li>"


def _key(organs: Mapping[int, str]) -> str:
    """Which organ has which colour."""
    square = '<svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="2" fill="{}"/></svg>'
    entries = (f"<li>{square.format(css_colour(value))}{escape(name)}</li>" for value, name in organs.items())
    return f'<ul class="key">{"".join(entries)}</ul>'


def _card(card: StageCard) -> str:
    flags = f'<p class="warning">{escape("; ".join(card.flags))}</p>' if card.flags else ""
    shown = paragraph(f"{card.name}: no picture") if card.picture is None else picture_block(card.name, card.picture)
    return f"<article>{shown}{flags}{paragraph(card.text)}</article>"
