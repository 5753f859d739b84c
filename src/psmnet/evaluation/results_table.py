"""Results as one tidy table: a row for each organ of each query scan, with all that made it in columns.

Text stands as it is (with spaces for control characters), everything else as JSON. An empty cell is a value that is
undefined or not recorded, `NaN` a metric that was not measured. The same results give the same bytes.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_records import Record, ResultsFile, wrong
from psmnet.system import atomic_path

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")  # what a spreadsheet takes for more than text (OWASP)
NOT_MEASURED = "NaN"
SHARED = tuple(name for name in ResultsFile.model_fields if name not in ("records", "path"))
OWN = tuple(name for name in Record.model_fields if name != "values")
REMEDY = "give a table that psmnet report wrote"


def is_table(path: Path) -> bool:
    """Whether a file is a table of records, by its name: .csv or .csv.gz."""
    return path.name.endswith((".csv", ".csv.gz")) and not path.is_dir()


def table_text(files: Iterable[ResultsFile]) -> str:
    """Results as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*SHARED, *OWN, *METRICS])
    for file in files:
        shared = [_cell(getattr(file, name)) for name in SHARED]
        for record in file.records:
            own = [_cell(getattr(record, name)) for name in OWN]
            values = [_cell(record.values[m]) if m in record.values else NOT_MEASURED for m in METRICS]
            writer.writerow([*shared, *own, *values])
    return text.getvalue()


def write_table(path: Path, files: Iterable[ResultsFile]) -> None:
    """Write results as a table, packed where the name ends in .gz.

    Raises:
        InputError: it can't be written.
    """
    data = table_text(files).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def read_table(path: Path) -> list[ResultsFile]:
    """Results from a table, in its order.

    Columns that are not known are passed over; a metric without a column was not measured.

    Raises:
        InputError: it can't be read, is no table of records, or something is missing or makes no sense.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"can't read {path} ({error})", "check the path, or fetch it again") from error
    groups: dict[tuple[str, ...], list[tuple[int, dict[str, str]]]] = {}
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if missing := [name for name in ("source", "case", "organ", "dice") if name not in (rows.fieldnames or ())]:
            raise InputError(f"{path} is no table of records: it has no column {missing[0]}", REMEDY)
        for row in rows:
            if None in row or None in row.values():
                raise InputError(f"{path}, line {rows.line_num} has another number of columns than the first", REMEDY)
            groups.setdefault(tuple(row.get(name, "") for name in SHARED), []).append((rows.line_num, row))
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}", REMEDY) from error
    if not groups:
        raise InputError(f"{path} has no records", REMEDY)
    return [_file(path, members) for members in groups.values()]


def _file(path: Path, members: Sequence[tuple[int, dict[str, str]]]) -> ResultsFile:
    """The results file of rows that agree in all that made them."""
    line, first = members[0]
    where = f"{path}, line {line}"
    try:
        records = []
        for line, row in members:
            where = f"{path}, line {line}"
            values = {m: row[m] for m in METRICS if row.get(m, NOT_MEASURED) != NOT_MEASURED}
            own = _values(Record, row, OWN) | {"values": {m: _number(m, text) for m, text in values.items()}}
            records.append(Record.model_validate(own))
        where = f"{path}, line {members[0][0]}"
        return ResultsFile.model_validate(_values(ResultsFile, first, SHARED) | {"records": tuple(records)})
    except ValidationError as error:
        raise InputError(f"{where}: {wrong(error)}", REMEDY) from error
    except ValueError as error:
        raise InputError(f"{where}: {error}", REMEDY) from error


def _values(model: type[BaseModel], row: Mapping[str, str], names: Sequence[str]) -> dict[str, Any]:
    """Fields from cells; what is empty has its default, or is None where there is none."""
    found: dict[str, Any] = {}
    for name in names:
        cell, kinds = row.get(name, ""), _kinds(model.model_fields[name].annotation)
        if cell == "":
            if model.model_fields[name].is_required():
                found[name] = None
        elif str in kinds:
            found[name] = cell.removeprefix("'")
        else:
            try:
                value = json.loads(cell)
            except ValueError as error:
                raise ValueError(f"{name} is {cell!r}") from error
            found[name] = tuple(value) if isinstance(value, list) else value
    return found


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _number(metric: str, cell: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError as error:
        raise ValueError(f"{metric} is {cell!r}") from error


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        shown = "".join(character if character.isprintable() else " " for character in value)
        return f"'{shown}" if value.startswith(FORMULA) else shown
    return json.dumps(value, ensure_ascii=False)
