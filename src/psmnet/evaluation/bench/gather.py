"""Results gathered into tables of what may be compared; nothing is averaged over less without a word."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from psmnet.catalog import DATASETS, PROTOCOLS
from psmnet.data.prepare import FAULTS_OF_PREPARE
from psmnet.errors import InputError
from psmnet.evaluation import ResultsFile
from psmnet.evaluation.bench.comparison import Cell, Conditions, Row, Table, cell_of, cell_order

WHOLE_SUPPORT = "Registration has the whole labelled scan in every protocol."
MOST_NAMED = 6  # of what is missing; the rest is counted


def gather_tables(files: Sequence[ResultsFile], folds: Collection[int] | None = None) -> tuple[list[Table], list[str]]:
    """Sort results into tables.

    Files stand in one table if they agree in all of `Conditions`; a method without training stands in every table that
    it agrees with in all but the training. A row is a method with its variant.

    Args:
        files: results.
        folds: the only folds to use; None for all.

    Returns:
        tables, and remarks on files that say the same twice.

    Raises:
        InputError: two files are the same cell with different figures, or no file has one of the folds.
    """
    if folds is not None:
        for fold in sorted(folds):
            if all(file.fold != fold for file in files):
                raise InputError(f"no results of fold {fold}", "leave it out", code="report-folds")
        files = [file for file in files if file.fold in folds]
    groups: dict[Conditions, list[ResultsFile]] = defaultdict(list)
    free = [file for file in files if file.training is None]
    for file in files:
        if file.training is not None:
            groups[_conditions(file)].append(file)
    for file in free:
        own = _conditions(file)
        fitting = [conditions for conditions in groups if _without_training(conditions) == own]
        for conditions in fitting or [own]:
            groups[conditions].append(file)
    repeats: dict[str, None] = {}
    tables = [_table(conditions, groups[conditions], repeats) for conditions in sorted(groups, key=_order)]
    return tables, list(repeats)


def _conditions(file: ResultsFile) -> Conditions:
    # A rule of training, and bugs in it, do not concern a method without training.
    legacy = file.legacy if file.training else _of_the_data(file.legacy)
    return Conditions(
        file.dataset,
        file.protocol,
        file.setting,
        file.group,
        file.setting2 if file.training else None,
        file.folds,
        file.shots,
        file.postprocess,
        legacy,
        file.training,
    )


def _of_the_data(legacy: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in legacy if name in FAULTS_OF_PREPARE)


def _without_training(conditions: Conditions) -> Conditions:
    return Conditions(
        conditions.dataset,
        conditions.protocol,
        conditions.setting,
        conditions.group,
        None,
        conditions.folds,
        conditions.shots,
        conditions.postprocess,
        _of_the_data(conditions.legacy),
        None,
    )


def _order(conditions: Conditions) -> tuple[object, ...]:
    protocols = list(PROTOCOLS)
    place = protocols.index(conditions.protocol) if conditions.protocol in protocols else len(protocols)
    others = [str(value) for value in vars(conditions).values()]
    return conditions.dataset, place, conditions.setting, conditions.group or "", conditions.shots, others


def _table(conditions: Conditions, files: Sequence[ResultsFile], repeats: dict[str, None]) -> Table:
    rows = []
    for name, members in _named(files).items():
        cells: dict[Cell, ResultsFile] = {}
        for file in members:
            cell = cell_of(file)
            if cell not in cells:
                cells[cell] = file
            elif cells[cell].records == file.records:
                repeats[f"{file.source} says the same as {cells[cell].source}"] = None
            else:
                raise InputError(
                    f"{cells[cell].source} and {file.source} are the same cell ({name}, {cell}) with different figures",
                    "leave one of them out",
                )
        rows.append(Row(name, dict(sorted(cells.items(), key=lambda item: cell_order(item[0])))))
    table = Table(conditions, rows)
    present = dict.fromkeys(organ for file in files for organ in file.organs)
    facts = DATASETS.get(conditions.dataset)
    known = [organ for organ in facts.tested if organ in present] if facts else []
    table.organs = list(dict.fromkeys([*known, *present]))
    for row in rows:
        row.missing = "; ".join(filter(None, [_missing_cells(row, table), _missing_records(row, table)]))
    rows.sort(key=lambda row: (bool(row.missing), -(row.mean("dice") or 0), row.name))
    table.notes, table.warnings = _notes(table), _warnings(table)
    return table


def _named(files: Sequence[ResultsFile]) -> dict[str, list[ResultsFile]]:
    """Files by the name of their row: what differs between networks of one name is said behind it."""
    groups: dict[str, dict[tuple[tuple[str, str], ...], list[ResultsFile]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        name = f"{file.method}-{file.variant}" if file.variant else file.method
        if "trained as" in file.configuration:
            name += f" (with weights of {file.configuration['trained as']})"
        entry = file.configuration | {"method": file.method, "variant": file.variant or ""}
        groups[name][tuple(entry.items())].append(file)
    named: dict[str, list[ResultsFile]] = {}
    for name, recipes in groups.items():
        entries = [dict(recipe) for recipe in recipes]
        keys = {key for entry in entries for key in entry}
        differing = sorted(key for key in keys if len({entry.get(key) for entry in entries}) > 1)
        for entry, members in zip(entries, recipes.values(), strict=True):
            told = ", ".join(f"{key}={entry[key]}" for key in differing if key in entry)
            full = f"{name} ({told or 'without ' + ', '.join(differing)})" if differing else name
            while full in named:  # a method may be called anything
                full += "'"
            named[full] = members
    return named


# ---- what a row lacks, and what else a reader must know --------------------------------------------------------


def _missing_cells(row: Row, table: Table) -> str:
    needed = table.cells()
    if not row.trained:
        needed = list(dict.fromkeys(cell._replace(seed=None) for cell in needed))
    own = set(row.files) if row.trained else {cell._replace(seed=None) for cell in row.files}
    lacking = [cell for cell in needed if cell not in own]
    if not lacking:
        return ""
    all_folds = list(dict.fromkeys(cell.fold_name for cell in needed))
    whole = [fold for fold in all_folds if all(cell in lacking for cell in needed if cell.fold_name == fold)]
    if all(cell.fold_name in whole for cell in lacking):
        return f"{len(all_folds) - len(whole)} of {len(all_folds)} folds: {', '.join(whole)} missing"
    had = len(needed) - len(lacking)
    return f"{had} of {len(needed)} cells: {_some([f'({cell})' for cell in lacking])} missing"


def _missing_records(row: Row, table: Table) -> str:
    """Scans or organs that another method has in the same fold with the same support."""
    present: dict[tuple[object, ...], dict[tuple[str, str], None]] = defaultdict(dict)
    for file in table.files():
        present[cell_of(file).place].update({(r.case, r.organ): None for r in file.records})
    lacking = []
    for cell, file in row.files.items():
        own = {(r.case, r.organ) for r in file.records}
        names = [key for key in present[cell.place] if key not in own]
        lacking += [f"{label} of case {case} ({cell})" for case, label in names]
    return f"{len(lacking)} score{'s' if len(lacking) > 1 else ''} missing: {_some(lacking)}" if lacking else ""


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:MOST_NAMED])
    return shown if len(items) <= MOST_NAMED else f"{shown} and {len(items) - MOST_NAMED} more"


def _notes(table: Table) -> list[str]:
    # Not what the files noted: older ones say the same in other words.
    free = [] if all(row.trained for row in table.rows) else [WHOLE_SUPPORT]
    return [PROTOCOLS[table.conditions.protocol], *free]


def _warnings(table: Table) -> list[str]:
    warnings = []
    checksums: dict[str, set[str]] = defaultdict(set)
    for file in table.files():
        for case, checksum in file.checksums.items():
            checksums[case].add(checksum)
    if differing := [case for case, known in checksums.items() if len(known) > 1]:
        warnings.append(f"Not all results come from the same images: case {_some(differing)} differs between files.")
    for row in table.rows:
        allowed = [file for file in row.files.values() if file.allow_seen]
        seen = {case: None for file in allowed for case in file.seen_in_training}
        if seen:
            warnings.append(f"{row.name}: training saw scans that it is tested with: case {_some(list(seen))}.")
        elif allowed:
            warnings.append(f"{row.name} was evaluated without the check for scans seen in training.")
    return warnings
