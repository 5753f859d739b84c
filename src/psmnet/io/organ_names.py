"""Names of label values, from JSON, CSV, ITK-SNAP's label descriptions or 3D Slicer's colour tables."""

import csv
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psmnet.errors import InputError

LARGEST_BYTES = 1 << 20
HEADINGS = ("value", "label", "id", "index")  # of a CSV's first column
SEPARATORS = ",;\t"
REMEDY = "give JSON or CSV with value, name and optionally a SNOMED CT code, or a table of ITK-SNAP or 3D Slicer"


@dataclass(frozen=True)
class OrganName:
    """A structure's name.

    Attributes:
        name: as shown, also in file names.
        snomed: its SNOMED CT code; "" if unknown.
    """

    name: str
    snomed: str = ""

    @property
    def key(self) -> str:
        """Equal for names of the same structure: "Right_Kidney" and "right kidney"."""
        return " ".join(self.name.casefold().replace("_", " ").replace("-", " ").split())


def unnamed(value: int) -> OrganName:
    """The name of a label value that has none."""
    return OrganName(f"label_{value}")


def read_names(path: Path) -> dict[int, OrganName]:
    """Label value to name.

    Args:
        path: `{"1": "liver"}`, `{"liver": 1}` or `{"1": {"name": "liver", "snomed": "10200004"}}` as .json; lines of
            value, name and optionally a code as .csv, separated by commas, semicolons or tabs;
            `IDX R G B A VIS MSH "LABEL"` (ITK-SNAP); `value name r g b a` (Slicer's .ctbl).

    Raises:
        InputError: it can't be read, has no value, one value twice, or one name twice.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, more than a table of names has", REMEDY)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    rows = _json_rows(path, text) if path.suffix.lower() == ".json" else _table_rows(path, text)
    names: dict[int, OrganName] = {}
    for value, name, code in rows:
        if not value.isdecimal() or not name.strip():
            raise InputError(f"{path}: value {value!r} with name {name!r}", REMEDY)
        if int(value) == 0:
            continue  # background, which some tables list
        if int(value) in names:
            raise InputError(f"{path} has value {int(value)} twice", "remove one")
        names[int(value)] = OrganName(name.strip(), code.strip())
    if not names:
        raise InputError(f"{path} has no label values", REMEDY)
    called = [organ.key for organ in names.values()]
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise InputError(f"{path} has two values of the name {', '.join(twice)}", "give each value its own name")
    return dict(sorted(names.items()))


def _json_rows(path: Path, text: str) -> list[tuple[str, str, str]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"{path} has {key!r} twice", "remove one")
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}", REMEDY) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not names by value", REMEDY)
    if content and all(type(entry) is int and not key.isdecimal() for key, entry in content.items()):  # as in nnU-Net
        return [(str(value), name, "") for name, value in content.items()]
    rows = []
    for value, entry in content.items():
        facts = entry if isinstance(entry, dict) else {"name": entry}
        name, code = facts.get("name"), facts.get("snomed", "")
        if not isinstance(name, str) or not isinstance(code, str | int) or isinstance(code, bool):
            raise InputError(f"{path}: value {value} has {entry!r:.80}", REMEDY)
        rows.append((value, name, str(code)))
    return rows


def _table_rows(path: Path, text: str) -> list[tuple[str, str, str]]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    try:
        if mark := next((mark for mark in SEPARATORS if all(mark in line for line in lines)), None):
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark, strict=True)]
            if rows and rows[0][0].casefold() in HEADINGS:
                rows = rows[1:]
            return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows]
        rows = [shlex.split(line) for line in lines]
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path} is not a table of names: {error}", REMEDY) from error
    if rows and all(len(row) == 8 for row in rows):  # ITK-SNAP
        return [(row[0], row[7], "") for row in rows]
    if rows and all(len(row) == 6 for row in rows):  # 3D Slicer
        return [(row[0], row[1].replace("_", " "), "") for row in rows]
    raise InputError(f"{path} is not a table of names", REMEDY)
