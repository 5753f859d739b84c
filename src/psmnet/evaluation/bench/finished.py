"""Whether a results file that is there is the one that a recipe wants."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from psmnet.data import Split
from psmnet.errors import ConfigError, InputError
from psmnet.evaluation.bench.recipe import BenchTask, Scoring
from psmnet.evaluation.results_schema import SCHEMA
from psmnet.models import find_weights
from psmnet.system import StoredFile, StoredPart, read_json, sha256_of


class _TrainedOn(StoredPart):
    cases: dict[str, str]
    steps: int
    precision: str
    preset: str
    seed: int
    pseudolabels: str | None
    setting2: str | None
    init: str | None = None
    encoder_weights: str | None = None


class _Provenance(StoredPart):
    checksums: dict[str, str]
    weights_sha256: str | None = None
    trained_on: _TrainedOn | None = None


class _Results(StoredFile):
    """What tells one results file from another of its name."""

    SCHEMA = SCHEMA

    folds: str
    institution: str | None = None
    provenance: _Provenance


def is_finished(path: Path, task: BenchTask, scoring: Scoring, split: Split, checksums: Mapping[str, str]) -> bool:
    """Whether a results file is there and whole; a damaged one is made again, like one that was cut short.

    Args:
        path: of the results file.
        task, scoring: what it is to be of.
        split: the cases of the task.
        checksums: of all images, by case.

    Raises:
        InputError: it is not a results file.
        ConfigError: it is of another training, of other scans or supports.
    """
    try:
        content = read_json(path)
    except InputError:
        return False
    try:
        found = _Results.model_validate(content if _Results.has_schema(content) else {})
    except ValidationError as error:
        raise InputError(
            f"{path} is not a results file of psmnet", "move it away, or choose another folder", code="out-move"
        ) from error
    for name, (is_, wanted) in _compared(found, task, scoring, split, checksums).items():
        if is_ != wanted:
            raise ConfigError(f"{path} was made {_difference(name, is_, wanted)}", "choose another folder", code="out")
    return True


def _compared(
    found: _Results, task: BenchTask, scoring: Scoring, split: Split, checksums: Mapping[str, str]
) -> dict[str, tuple[Any, Any]]:
    """What a results file says of how it was made, and what is wanted, by name."""
    spec, its = task.spec(), found.provenance
    supports = (scoring.support,) if scoring.support else split.support[: scoring.shots]
    compared: dict[str, tuple[Any, Any]] = {
        "folds": (found.folds, spec.folds),
        "institution": (found.institution, spec.institution),
        "checksums": (its.checksums, {case: checksums[case] for case in (*split.test, *supports)}),
    }
    if task.entry.weights is not None:
        compared["weights"] = (its.weights_sha256, sha256_of(find_weights(task.entry.weights)))
    if task.seed is not None:
        trained, train = its.trained_on, spec.recipe().train
        wanted = {
            "cases": {case: checksums[case] for case in split.train},
            "steps": train.steps,
            "precision": train.precision,
            "preset": spec.preset,
            "seed": spec.seed,
            "pseudolabels": spec.kind,
            "setting2": spec.setting2 if spec.setting == 2 else None,
            "init": None if spec.init is None else sha256_of(find_weights(spec.init)),
            "encoder_weights": spec.encoder_sha256,
        }
        compared |= {name: (getattr(trained, name, None), value) for name, value in wanted.items()}
    return compared


def _difference(name: str, is_: Any, wanted: Any) -> str:
    if name not in ("checksums", "cases"):
        return f"with {name} {is_}, not {wanted}"
    if set(is_ or ()) == set(wanted):
        return "of scans with other content"
    use = "training" if name == "cases" else "use"
    return f"with case {', '.join(is_ or ())} in {use}, not {', '.join(wanted)} (another support_cases?)"
