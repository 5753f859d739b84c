"""Draws docs/architecture.svg from the imports in src/, and fills the table of imports in docs/architecture.md.

python docs/make_architecture.py           writes both
python docs/make_architecture.py --check   exits with 1 if one of them is out of date
"""

import argparse
import re
import sys
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "architecture.svg"
COMMAND = "python docs/make_architecture.py"
BASE = ("catalog", "config", "runtime", "errors")  # modules below all rooms

# Where each room stands: rows from top to bottom; left, middle and right column.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("", "cli", ""),
    ("export", "viewer", ""),
    ("", "cohort", ""),
    ("", "report", ""),
    ("", "evaluation", ""),
    ("", "", "learning"),
    ("", "segmentation", "training"),
    ("", "data", "models"),
    ("", "io", ""),
    ("", "volume", ""),
    ("", "system", ""),
)
FILL = {
    **dict.fromkeys(("cli", "viewer", "cohort", "report"), "#dbeafe"),
    **dict.fromkeys(("evaluation", "learning", "segmentation", "training"), "#dcfce7"),
    **dict.fromkeys(("data", "models", "export"), "#fef3c7"),
}
PLAIN = "#f1f5f9"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 236, 46, 44, 36, 12
ASIDE = 70  # from the middle of a box, where arrows to another column begin and end

Imports = dict[str, set[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if something is out of date")
    check = parser.parse_args().check
    imports, page = room_imports(), PAGE.read_text(encoding="utf-8")
    wanted = {PAGE: with_table(page, imports), PICTURE: draw(imports, captions(page))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if check:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run {COMMAND}")
        sys.exit(bool(stale))
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")


def room_imports() -> Imports:
    """Room or module at the root to those that it imports directly."""
    graph = grimp.build_graph("psmnet", cache_dir=None)
    imports: Imports = {name.partition(".")[2]: set() for name in graph.find_children("psmnet")}
    for room in imports:
        for module in {f"psmnet.{room}"} | graph.find_descendants(f"psmnet.{room}"):
            imported = {name.split(".")[1] for name in graph.find_modules_directly_imported_by(module) if "." in name}
            imports[room] |= imported - {room}
    return imports


def captions(page: str) -> dict[str, str]:
    """Room to what it is for, from the first two columns of the page's table of rooms."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page.split("## Imports")[0], flags=re.MULTILINE))


def with_table(page: str, imports: Imports) -> str:
    """The page with its table of imports as they are."""
    order = [room for row in ROWS for room in sorted(row) if room]
    lines = ["| room | imports |", "|---|---|"]
    for room in order:
        lines.append(f"| `{room}` | {', '.join(name for name in (*order, *BASE) if name in imports[room])} |")
    table = "<!-- imports -->\n" + "\n".join(lines) + "\n<!-- /imports -->"
    return re.sub(r"<!-- imports -->.*<!-- /imports -->", lambda _: table, page, flags=re.DOTALL)


def essential(imports: Imports) -> list[tuple[str, str]]:
    """Imports between rooms that don't follow from others; the modules below all rooms are left out."""

    def reached(start: str) -> set[str]:
        return imports[start].union(*(reached(name) for name in imports[start]))

    return sorted(
        (room, other)
        for room in imports
        for other in imports[room] - set(BASE)
        if not any(other in reached(between) for between in imports[room] - {other})
    )


def draw(imports: Imports, purposes: dict[str, str]) -> str:
    """The picture as SVG."""
    place = {room: (column, row) for row, rooms in enumerate(ROWS) for column, room in enumerate(rooms) if room}
    if missing := sorted(set(imports) - set(place) - set(BASE)):
        sys.exit(f"give {', '.join(missing)} a place in ROWS of {Path(__file__).name}")
    width = 3 * WIDTH + 2 * GAP_X + 2 * MARGIN
    base_top = MARGIN + len(ROWS) * (HEIGHT + GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {base_top + HEIGHT + MARGIN}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
        f'<rect width="{width}" height="{base_top + HEIGHT + MARGIN}" fill="#ffffff"/>',
        '<g fill="none" stroke="#64748b" stroke-width="1.5" marker-end="url(#head)">',
        *(
            f'<path d="{route(place[room], place[other])}"><title>{room} imports {other}</title></path>'
            for room, other in essential(imports)
        ),
        "</g>",
    ]
    for room, where in place.items():
        left, top = corner(where)
        parts.append(box(left, top, WIDTH, FILL.get(room, PLAIN), room, purposes[room]))
    text = "data sets, settings, device, errors: open to every room"
    parts.append(box(MARGIN, base_top, width - 2 * MARGIN, PLAIN, "  ".join(BASE), text))
    return "\n".join([*parts, "</svg>"]) + "\n"


def box(left: int, top: int, width: int, fill: str, title: str, text: str) -> str:
    """A rounded box with a title and a line of text."""
    middle = left + width // 2
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#94a3b8"/>'
        f'<text x="{middle}" y="{top + 19}" text-anchor="middle" font-weight="bold" xml:space="preserve">{title}</text>'
        f'<text x="{middle}" y="{top + 37}" text-anchor="middle" fill="#334155">{escape(text)}</text>'
    )


def corner(where: tuple[int, int]) -> tuple[int, int]:
    """Upper left corner of a box."""
    column, row = where
    return MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)


def route(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Path of an arrow: straight to the next row, else round corners."""
    (x0, y0), (x1, y1) = corner(start), corner(end)
    middle0, middle1 = x0 + WIDTH // 2, x1 + WIDTH // 2
    below = end[1] == start[1] + 1
    if start[0] == end[0]:
        if below:
            return f"M{middle0} {y0 + HEIGHT}V{y1}"
        aside = x0 - GAP_X // 2  # past the boxes between
        return f"M{x0} {y0 + HEIGHT // 2}H{aside}V{y1 + HEIGHT // 2}H{x1}"
    rightwards = end[0] > start[0]
    if below:
        aside = ASIDE if rightwards else -ASIDE
        return f"M{middle0 + aside} {y0 + HEIGHT}L{middle1 - aside} {y1}"
    if start[0] == 1:  # from the middle: sideways, then down
        return f"M{x0 + WIDTH if rightwards else x0} {y0 + HEIGHT // 2}H{middle1}V{y1}"
    return f"M{middle0} {y0 + HEIGHT}V{y1 + HEIGHT // 2}H{x1 if rightwards else x1 + WIDTH}"


if __name__ == "__main__":
    main()
