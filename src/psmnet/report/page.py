"""One self-contained HTML page: tables and pictures that open anywhere, offline, with no script."""

import base64
import hashlib
import html
import io
import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from psmnet.errors import InputError
from psmnet.runtime import package_version
from psmnet.system import write_text

LOOK = Path(__file__).with_name("look.css")  # shared with the viewer

_STYLE = """
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 82rem; }
h1 { margin: 0 0 .75rem; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .9rem; font-size: 1.2rem; }
p { margin: 0 0 .75rem; max-width: 46rem; overflow-wrap: anywhere; }
.scroll { width: fit-content; max-width: 100%; overflow-x: auto; border-radius: .5rem; }
.table { margin: 0 0 1.5rem; background: var(--raised); border: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { padding: .75rem 1rem .5rem; text-align: left; font-weight: 600; }
th, td { padding: .45rem 1rem; border-top: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { font-weight: 500; }
thead th { color: var(--dim); font-size: .875rem; }
.number { text-align: right; }
figure { margin: 0 0 1.75rem; }
figcaption { margin: 0 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; height: auto; }
footer {
  margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--dim); font-size: .875rem;
}
@media (max-width: 40rem) {
  body { padding: 1.25rem .9rem; }
  h1 { font-size: 1.4rem; }
  th, td { padding: .4rem .65rem; }
  caption { padding: .65rem .65rem .4rem; }
  img { max-width: 44rem; }
}
@media print { body { max-width: none; } figure, .scroll { break-inside: avoid; } }
"""


# A number or its bound, perhaps with what it varies by, how many it is the mean of, and a mark.
_NUMBER = re.compile(r"(< )?[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?%?( ± \d[\d.]*)?( \(\d+\))?†?")


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Attributes:
        caption: what it shows.
        columns: headings; the first column names the rows.
        rows: text of the cells, as many in each row as there are columns.
        strong: (row, column) of bold cells, counted from 0.

    Raises:
        InputError: a row has more or fewer cells than there are columns.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Collection[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise InputError(
                    f"row {number} of table {self.caption!r} has {len(row)} cells for {len(self.columns)} columns",
                    "give a cell for every column",
                )


def write_page(
    path: Path, *, title: str, intro: str, tables: Sequence[PageTable], pictures: Sequence[tuple[str, Path]]
) -> None:
    """Write a page with everything it needs inside: no script, and nothing is loaded from anywhere.

    Args:
        path: the HTML file to write; it appears complete or not at all.
        title: heading and window title.
        intro: text below the heading; an empty line begins a new paragraph.
        tables: shown in order. Columns that hold only numbers are aligned right.
        pictures: captions and PNG or JPEG files, shown in order and embedded.

    Raises:
        InputError: a picture can't be read or is neither PNG nor JPEG, or the page can't be written.
    """
    body: list[str] = []
    if tables:
        body += ["<section>", "<h2>Tables</h2>", *(table_block(table) for table in tables), "</section>"]
    if pictures:
        figures = (picture_block(caption, picture) for caption, picture in pictures)
        body += ["<section>", "<h2>Pictures</h2>", *figures, "</section>"]
    write_document(path, title=title, intro=intro, body=body)


def write_document(path: Path, *, title: str, intro: str, body: Sequence[str], style: str = "") -> None:
    """Write a page whose body the caller has made.

    Args:
        path, title, intro: as `write_page` takes them.
        body: pieces of HTML without script, event handlers or `style` attributes, which the page's policy stops.
        style: CSS in addition to the page's own.

    Raises:
        InputError: the page can't be written.
    """
    style = LOOK.read_text(encoding="utf-8") + _STYLE + style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The policy names this very style by its hash: a style or script that slipped in through a name would not run.
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{escape(title)}</h1>",
        *(paragraph(text) for text in intro.split("\n\n") if text.strip()),
        *body,
        "</main>",
        f"<footer>psmnet {escape(package_version())}: for research, not a medical device.</footer>",
        "</body>",
        "</html>",
    ]
    write_text(path, "\n".join(lines) + "\n")


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(' '.join(text.split()))}</p>"


def escape(text: str) -> str:
    """Text that is safe in HTML and encodable: file names may hold control characters and broken UTF-8."""
    printable = "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())
    return html.escape(printable)


def table_block(table: PageTable) -> str:
    """A table in a frame that scrolls; columns that hold only numbers are aligned right."""
    numeric = [
        bool(table.rows) and all(_is_number_or_gap(row[column]) for row in table.rows)
        for column in range(len(table.columns))
    ]
    classes = [' class="number"' if is_numeric and column else "" for column, is_numeric in enumerate(numeric)]
    head = "".join(
        f'<th scope="col"{style}>{escape(text)}</th>' for text, style in zip(table.columns, classes, strict=True)
    )
    rows = []
    for number, row in enumerate(table.rows):
        first, *others = (
            f"<strong>{escape(cell)}</strong>" if (number, column) in table.strong else escape(cell)
            for column, cell in enumerate(row)
        )
        cells = "".join(f"<td{style}>{cell}</td>" for cell, style in zip(others, classes[1:], strict=True))
        rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    caption = escape(table.caption)
    # tabindex: on a small screen a wide table scrolls in its frame, by keyboard too.
    return "\n".join(
        [
            f'<div class="scroll table" role="region" aria-label="{caption}" tabindex="0">',
            f"<table><caption>{caption}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{''.join(rows)}</tbody>",
            "</table></div>",
        ]
    )


def _is_number_or_gap(cell: str) -> bool:
    return cell.strip() in {"", "-"} or _NUMBER.fullmatch(cell.strip()) is not None


def picture_block(caption: str, picture: Path | bytes) -> str:
    """A PNG or JPEG, a file or its content, embedded under its caption.

    Raises:
        InputError: it can't be read, or is neither.
    """
    try:
        content = picture if isinstance(picture, bytes) else picture.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as opened:
                kind, (width, height) = str(opened.format).lower(), opened.size
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a PNG or JPEG picture"
        name = caption if isinstance(picture, bytes) else picture
        raise InputError(f"can't show {name} ({reason})", "give a PNG or JPEG file") from error
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    text = escape(caption)
    # The size keeps the page from jumping while pictures are decoded.
    image = f'<img src="{source}" alt="{text}" width="{width}" height="{height}">'
    frame = f'<div class="scroll" role="region" aria-label="{text}" tabindex="0">{image}</div>'
    return f"<figure><figcaption>{text}</figcaption>\n{frame}</figure>"
