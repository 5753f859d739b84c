"""Results files as they are read back: found in folders or in tables of records, and proven whole."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from psmnet.data import case_order
from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_records import ResultsFile, plain, wrong
from psmnet.evaluation.results_schema import PLAN_NAME, SCHEMA
from psmnet.evaluation.results_table import is_table, read_table
from psmnet.system import TEMPORARY_PREFIX

SCHEMA_FAMILY = SCHEMA.rstrip("0123456789")
REMEDY = "make it again with psmnet evaluate, or leave it out"
KNOWN_NAMES = ("run.json", "pseudolabels.json", "dataset.json", PLAN_NAME)  # that psmnet writes beside results
MACHINE = ("system", "processor", "cores", "threads")  # and never a host or a user


def find_results(inputs: Sequence[Path]) -> tuple[list[ResultsFile], int]:
    """Read results files, those in folders and the folders below, and tables of records.

    Args:
        inputs: results files, folders of them, tables (.csv, .csv.gz).

    Returns:
        the results, each file once, and how many other JSON files the folders hold, but for those psmnet wrote itself.

    Raises:
        InputError: an input is missing, a file is damaged or of another schema, or there is none at all.
    """
    found: dict[tuple[Path, int], ResultsFile] = {}
    others = 0
    for number, given in enumerate(inputs, start=1):
        if not given.exists():
            raise InputError(f"no results {given}", "give results files, their folder, or a table of records")
        names = {file.source for file in found.values()}
        own: dict[tuple[Path, int], ResultsFile] = {}
        if is_table(given):
            own = {(given.resolve(), row): file for row, file in enumerate(read_table(given))}
        for path in _paths(given):
            content, digest = _read(path)
            if path is not given and not _is_of_the_family(content):
                others += path.name not in KNOWN_NAMES
                continue
            name = path.relative_to(given).as_posix() if path is not given else given.name
            own[path.resolve(), 0] = parse_results(content, path, name, digest)
        for key, file in own.items():
            if key not in found:
                # Two inputs may hold files of one name.
                again = {"source": f"[{number}] {file.source}"} if file.source in names else {}
                found[key] = file.model_copy(update=again)
    if not found:
        raise InputError(
            f"no results files in {', '.join(map(str, inputs))}",
            "give what psmnet evaluate wrote, its folder, or a table of records",
        )
    return list(found.values()), others


def parse_results(content: Any, path: Path, name: str, sha256: str) -> ResultsFile:
    """One results file from its JSON.

    Args:
        content: the JSON.
        path: of the file.
        name: what it is called in reports.
        sha256: of the file.

    Raises:
        InputError: it is of another schema, or something is missing or makes no sense.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise InputError(f"{path} has schema {schema!r}, not {SCHEMA}", "give results files of psmnet evaluate")
    try:
        return ResultsFile.model_validate(
            {
                "own_support": not _OTHER_SUPPORT.search(name),
                **_flat(content),
                "source": name,
                "source_sha256": sha256,
                "path": Path(path),
            }
        )
    except ValidationError as error:
        raise InputError(f"{path}: {wrong(error)}", REMEDY) from error
    except _Misshapen as error:
        raise InputError(f"{path}: {error}", REMEDY) from error


class _Misshapen(Exception):
    """A part of a results file that is no JSON object or array where one must be."""


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """The fields of `ResultsFile` from the file's nested ones."""
    its = _part(content, "provenance", dict)
    trained = None if its.get("trained_on") is None else _part(its, "trained_on", dict)
    if trained is not None and trained.get("dataset") is None:
        raise _Misshapen("trained_on: dataset is missing")
    cases = [_record(number, case) for number, case in enumerate(_part(content, "cases", list), start=1)]
    summary = content.get("summary")
    listed = summary.get("by_label") if isinstance(summary, dict) else {}
    organs = dict.fromkeys(listed if isinstance(listed, dict) else ())
    organs |= dict.fromkeys(case["organ"] for case in cases if isinstance(case, dict) and "organ" in case)
    legacy = content.get("legacy") or []  # early files say false for none
    postprocess = content.get("postprocess")
    versions, machine, supports = (its.get(name) for name in ("versions", "machine", "supports"))
    versions = dict(versions) if isinstance(versions, dict) else {}
    machine = machine if isinstance(machine, dict) else {}
    if isinstance(supports, list) and all(isinstance(support, str) for support in supports):
        supports = sorted(supports, key=case_order)
    flat = {
        **{name: content[name] for name in _TOP if name in content},
        **{name: its[name] for name in _PROVENANCE if its.get(name) is not None},
        "supports": tuple(supports) if isinstance(supports, list) else (),
        "postprocess": None if postprocess is None else plain(postprocess),
        "legacy": tuple(sorted(map(plain, legacy))) if isinstance(legacy, list) else (plain(legacy),),
        "organs": tuple(organs),
        "checksums": {str(case): str(value) for case, value in _dict(its.get("checksums")).items()},
        "allow_seen": its.get("allow_seen") is True,
        "seen_in_training": tuple(map(str, its.get("seen_in_training") or ())),
        "version": _text(versions.pop("psmnet", None)),
        "libraries": _listed(versions),
        "machine": _listed({name: machine[name] for name in MACHINE if machine.get(name) is not None}),
        "device": _text(machine.get("device")),
        "records": tuple(cases),
    }
    if trained is not None:
        flat |= {name: trained[name] for name in _TRAINED if trained.get(name) is not None}
        flat |= {field: trained.get(name) for field, name in _RENAMED.items()}
        flat["start_weights"] = trained.get("init") or trained.get("encoder_weights")
    return flat


_TOP = (
    *("method", "variant", "dataset", "protocol", "setting", "group", "setting2", "folds", "institution", "fold"),
    *("shots", "seed"),
)
_PROVENANCE = ("note", "own_support", "weights_sha256", "model", "seconds")
_OTHER_SUPPORT = re.compile(r"_support[^/]*\.json$")  # what bench calls files of other supports; older ones say no more
_RENAMED = {"trained_on": "dataset", "trained_as": "method", "training_precision": "precision"}
_TRAINED = ("pseudolabels", "preset", "steps", "pairs")


def _record(number: int, case: Any) -> Any:
    if not isinstance(case, dict):
        return case
    if "label" not in case:
        raise _Misshapen(f"record {number} of cases: label is missing")
    values = {metric: case[metric] for metric in METRICS if metric in case}
    return {**case, "organ": case["label"], "values": values, "empty_prediction": case.get("empty_prediction") is True}


def _part(content: dict[str, Any], name: str, kind: type) -> Any:
    value = content.get(name)
    if not isinstance(value, kind):
        raise _Misshapen(f"{name} is {'missing' if value is None else repr(value)[:60]}")
    return value


def _dict(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return None if value is None else plain(value)


def _listed(values: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or None


def _paths(given: Path) -> list[Path]:
    """The results files of an input: itself, or the JSON files of a folder but for those that are being written."""
    if given.is_dir():
        return [path for path in sorted(given.rglob("*.json")) if not path.name.startswith(TEMPORARY_PREFIX)]
    return [] if is_table(given) else [given]


def _is_of_the_family(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("schema", "")).startswith(SCHEMA_FAMILY)


def _read(path: Path) -> tuple[Any, str]:
    """JSON and SHA-256 of the very same bytes."""
    try:
        data = path.read_bytes()
        return json.loads(data), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})", REMEDY) from error
