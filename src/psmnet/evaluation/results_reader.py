"""Results files as they are read back: found in folders, proven whole, and turned into records."""

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psmnet.catalog import PROTOCOLS
from psmnet.config import PRESETS
from psmnet.data import case_order
from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_schema import PLAN_NAME, SCHEMA
from psmnet.system import TEMPORARY_PREFIX

SCHEMA_FAMILY = SCHEMA.rstrip("0123456789")
REMEDY = "make it again with psmnet evaluate, or leave it out"
KNOWN_NAMES = ("run.json", "pseudolabels.json", "dataset.json", PLAN_NAME)  # that psmnet writes beside results
SHORT_HASH = 8


@dataclass(frozen=True)
class Record:
    """One organ of one query scan.

    Attributes:
        case, label: which.
        slices: number of slices that were scored; None where the file doesn't say.
        values: metric to value; None where it is undefined, or newer than the file.
        false_positive_ml: predicted volume where the reference lacks the organ, else None.
        empty_prediction: whether nothing was predicted where something is.
    """

    case: str
    label: str
    slices: int | None
    values: Mapping[str, float | None]
    false_positive_ml: float | None
    empty_prediction: bool


@dataclass(frozen=True)
class Training:
    """What must be equal between trained methods that are compared.

    Attributes:
        dataset: name of the data, or `synthetic`.
        pseudolabels: their kind, None for none.
        steps: of training.
        pairs: image pairs in a batch, None where as many as the preset has.
        init: checksum of the weights that it began with, None from scratch.
    """

    dataset: str
    pseudolabels: str | None
    steps: int
    init: str | None = None
    pairs: int | None = None

    @property
    def length(self) -> str:
        """For people."""
        return f"{self.steps:,} steps" + (f" of {self.pairs} pairs" if self.pairs else "")


@dataclass(frozen=True, eq=False)
class ResultsFile:
    """One cell of a benchmark: a method on one fold with one support.

    Attributes:
        name: path relative to the input it was found in: no home, no user.
        path, sha256: of the file.
        method, variant: whose results.
        dataset, protocol, setting, group, setting2, folds, institution, fold, shots, postprocess: as evaluated.
        legacy: faults of the field in the data and in training.
        seed: of training, None where there was none.
        training: None for methods without training.
        supports: ids of the labelled scans, sorted.
        records: of each query scan and organ.
        organs: that were tested.
        recipe: what two networks of one name may differ in, as text.
        provenance: as in the file.
    """

    name: str
    path: Path
    sha256: str
    method: str
    variant: str | None
    dataset: str
    protocol: str
    setting: int
    group: str | None
    setting2: str | None
    folds: str
    institution: str | None
    fold: int
    shots: int
    seed: int | None
    postprocess: str | None
    legacy: tuple[str, ...]
    training: Training | None
    supports: tuple[str, ...]
    records: tuple[Record, ...]
    organs: tuple[str, ...]
    recipe: dict[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def find_results(inputs: Sequence[Path]) -> tuple[list[ResultsFile], int]:
    """Read results files, and those in folders and the folders below.

    Args:
        inputs: files and folders.

    Returns:
        the files, each once, and how many other JSON files the folders hold, but for those psmnet wrote itself.

    Raises:
        InputError: an input is missing, a file is damaged or of another schema, or there is none at all.
    """
    found: dict[Path, ResultsFile] = {}
    others = 0
    for number, given in enumerate(inputs, start=1):
        if not given.exists():
            raise InputError(f"no results {given}", "give results files of psmnet evaluate, or their folder")
        paths = [given]
        if given.is_dir():
            paths = [path for path in sorted(given.rglob("*.json")) if not path.name.startswith(TEMPORARY_PREFIX)]
        for path in paths:
            content, digest = _read(path)
            if path is not given and not _is_of_the_family(content):
                others += path.name not in KNOWN_NAMES
            elif path.resolve() not in found:
                name = path.relative_to(given).as_posix() if path is not given else given.name
                if any(file.name == name for file in found.values()):
                    name = f"[{number}] {name}"  # two inputs may hold files of one name
                found[path.resolve()] = parse_results(content, path, name, digest)
    if not found:
        raise InputError(
            f"no results files in {', '.join(map(str, inputs))}", "give what psmnet evaluate wrote, or its folder"
        )
    return list(found.values()), others


def parse_results(content: Any, path: Path, name: str, sha256: str) -> ResultsFile:
    """One results file from its JSON.

    Raises:
        InputError: it is of another schema, or something is missing or makes no sense.
    """
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        schema = content.get("schema") if isinstance(content, dict) else None
        raise InputError(f"{path} has schema {schema!r}, not {SCHEMA}", "give results files of psmnet evaluate")
    top = _Entries(content, str(path))
    provenance = _Entries(top.take("provenance", dict), f"{path}, provenance")
    trained = provenance.take("trained_on", dict, None)
    training = None
    if trained is not None:
        entries = _Entries(trained, f"{path}, trained_on")
        training = Training(
            entries.take("dataset", str),
            entries.take("pseudolabels", str, None),
            entries.whole("steps"),
            entries.take("init", str, None),
            _own_pairs(entries.take("pairs", int, 0), entries.take("preset", str, "")),
        )
    supports = provenance.take("supports", list)
    if not supports or not all(isinstance(support, str) for support in supports):
        raise InputError(f"{path} names no support cases", REMEDY)
    protocol = top.take("protocol", str)
    if protocol not in PROTOCOLS:
        raise InputError(f"{path}: protocol is {_shown(protocol)}, none of {', '.join(PROTOCOLS)}", REMEDY)
    records = _records(top.take("cases", list), path)
    summary = top.take("summary", dict, {})
    listed = summary.get("by_label", {}) if isinstance(summary.get("by_label", {}), dict) else {}
    return ResultsFile(
        name=name,
        path=path,
        sha256=sha256,
        method=top.take("method", str),
        variant=top.take("variant", str, None),
        dataset=top.take("dataset", str),
        protocol=protocol,
        setting=top.whole("setting"),
        group=top.take("group", str, None),
        setting2=top.take("setting2", str, None),
        folds=top.take("folds", str),
        institution=top.take("institution", str, None),
        fold=top.whole("fold"),
        shots=top.whole("shots"),
        seed=None if content.get("seed") is None else top.whole("seed"),
        postprocess=None if content.get("postprocess") is None else _plain(content["postprocess"]),
        legacy=_names(content.get("legacy")),
        training=training,
        supports=tuple(sorted(supports, key=case_order)),
        records=records,
        organs=tuple(dict.fromkeys([*listed, *(record.label for record in records)])),
        recipe=_recipe(content, provenance.content),
        provenance=provenance.content,
    )


class _Entries:
    """Entries of a JSON object, each with the type it must have."""

    def __init__(self, content: dict[str, Any], where: str) -> None:
        self.content = content
        self.where = where

    def take(self, key: str, kind: type, *default: Any) -> Any:
        """The value of a key; null and nothing are `default` where one is given."""
        value = self.content.get(key)
        if value is None and default:
            return default[0]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{self.where}: {key} is {_shown(value)}", REMEDY)
        return value

    def whole(self, key: str) -> int:
        """A whole number from 0 on."""
        value: int = self.take(key, int)
        if value < 0:
            raise InputError(f"{self.where}: {key} is {value}", REMEDY)
        return value


def _records(cases: list[Any], path: Path) -> tuple[Record, ...]:
    if not cases:
        raise InputError(f"{path} has no scores: cases is empty", REMEDY)
    # A metric that no record has is newer than the file; one that a record lacks beside others that have it is a gap.
    newer = {name for name in METRICS if name != "dice" and not any(isinstance(c, dict) and name in c for c in cases)}
    records: dict[tuple[str, str], Record] = {}
    for number, case in enumerate(cases, start=1):
        where = f"{path}, record {number} of cases"
        if not isinstance(case, dict):
            raise InputError(f"{where} is {_shown(case)}", REMEDY)
        entries = _Entries(case, where)
        record = Record(
            entries.take("case", str),
            entries.take("label", str),
            entries.take("slices", int, None),
            {
                name: None if name in newer else _number(case, name, where, metric.limits)
                for name, metric in METRICS.items()
            },
            _number(case, "false_positive_ml", where),
            case.get("empty_prediction") is True,
        )
        if (record.values["dice"] is None) != (record.false_positive_ml is not None):
            raise InputError(f"{where}: an organ has either a dice or, where it is absent, false_positive_ml", REMEDY)
        if (record.case, record.label) in records:
            raise InputError(f"{path} has two records of {record.label} in case {record.case}", REMEDY)
        records[record.case, record.label] = record
    return tuple(records.values())


def _number(case: dict[str, Any], key: str, where: str, limits: tuple[float, float] = (0.0, math.inf)) -> float | None:
    """A finite number that the metric can have; None for null, which must be said: else a gap passes for an absence."""
    if key not in case:
        raise InputError(f"{where}: {key} is missing", REMEDY)
    value = case[key]
    if value is None:
        return None
    low, high = max(limits[0], -sys.float_info.max), min(limits[1], sys.float_info.max)
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:  # NaN is not
        return float(value)
    raise InputError(f"{where}: {key} is {_shown(value)}", REMEDY)


def _recipe(content: dict[str, Any], provenance: dict[str, Any]) -> dict[str, str]:
    """What two networks of one name may differ in."""
    trained = provenance.get("trained_on") or {}
    recipe = {"preset": trained.get("preset")}
    if trained.get("method", content["method"]) != content["method"]:
        recipe["trained as"] = trained["method"]
    if trained:
        recipe["init"] = "from other weights" if trained.get("init") else "from scratch"
    model = provenance.get("model")
    for key, value in (model if isinstance(model, dict) else {}).items():
        recipe |= value if isinstance(value, dict) else {key: value}
    return {str(key): _plain(value) for key, value in sorted(recipe.items()) if key != "method"}


def _own_pairs(pairs: int, preset: str) -> int | None:
    """Image pairs in a batch where they are not the preset's; old files name none, which is 0."""
    usual = PRESETS[preset].train.pairs if preset in PRESETS else 0
    return None if pairs in (0, usual) else pairs


def _names(legacy: Any) -> tuple[str, ...]:
    """Faults by name; early files say false for none."""
    return tuple(sorted(map(_plain, legacy))) if isinstance(legacy, list) else () if not legacy else (_plain(legacy),)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
