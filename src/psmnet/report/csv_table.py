"""Tables as CSV, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Sequence

Value = str | int | float | bool | None


def csv_text(rows: Sequence[Sequence[Value]]) -> str:
    """Rows as CSV; a cell that a spreadsheet would read as a formula is quoted (OWASP, CSV injection)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def printable(text: str) -> str:
    """Text with a space for each character that can't be shown."""
    return "".join(c if c.isprintable() else " " for c in text)


def _cell(value: Value) -> str | int | float | None:
    """Numbers stay numbers."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        formula = value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        return "'" * formula + printable(value)
    return value
