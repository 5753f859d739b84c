"""Contact sheet of a cohort: a table of organs and a small picture of every scan, those to check first."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from psmnet.errors import InputError
from psmnet.report.page import PageTable, escape, picture_block, table_block, write_document

WIDTH_PX = 640
QUALITY = 72  # of JPEG: about 30 MB for a thousand scans
STYLE = """
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem; }
.sheet article { padding: .75rem; background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; }
.sheet figure { margin: 0; }
.sheet p { margin: .5rem 0 0; font-size: .875rem; }
.sheet img { width: 100%; }
.flags { color: #b3261e; font-weight: 600; }
@media (prefers-color-scheme: dark) { .flags { color: #ff8a80; } }
@media print { .sheet article { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Card:
    """One scan.

    Attributes:
        name: of the scan.
        overlay: file of its picture.
        flags: what to check, a few words each.
        text: other facts, such as the volumes of its organs.
    """

    name: str
    overlay: Path
    flags: tuple[str, ...]
    text: str


def write_contact_sheet(
    path: Path, *, title: str, intro: str, tables: Sequence[PageTable], cards: Sequence[Card]
) -> None:
    """Write the self-contained page; each small picture links to the whole one in the same folder.

    Args:
        path: the HTML file to write; it appears complete or not at all.
        title, intro, tables: as `write_page` takes them.
        cards: in this order.

    Raises:
        InputError: a picture can't be read, or the page can't be written.
    """
    body = ["<section>", *(table_block(table) for table in tables), "</section>"]
    body += ["<section>", "<h2>Scans</h2>", '<div class="sheet">', *map(_card, cards), "</div>", "</section>"]
    write_document(path, title=title, intro=intro, body=body, style=STYLE)


def _card(card: Card) -> str:
    flags = f'<p class="flags">{escape("; ".join(card.flags))}</p>' if card.flags else ""
    link = f'<a href="{escape(quote(card.overlay.name))}">whole picture</a>'
    text = f"<p>{escape(card.text)}</p><p>{link}</p>"
    return f"<article>{picture_block(card.name, _thumbnail(card.overlay))}{flags}{text}</article>"


def _thumbnail(path: Path) -> bytes:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            small = picture.convert("RGB")
    except OSError as error:
        raise InputError(f"can't show {path.name} ({error})", "delete it, and run again") from error
    small.thumbnail((WIDTH_PX, 4 * WIDTH_PX))
    content = io.BytesIO()
    small.save(content, format="JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()
