"""The learnings of a recipe on a folder of cases, and whether their results are there."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from psmnet.catalog import dataset
from psmnet.data import find_cases, read_dataset_file, split_data
from psmnet.errors import ConfigError, InputError
from psmnet.evaluation.bench.cohort_cases import LearningCases
from psmnet.evaluation.bench.cohort_learning import STAGES_NAME, settings_of
from psmnet.evaluation.bench.cohort_recipe import CohortRecipe, CohortScoring, Learning
from psmnet.evaluation.results_schema import SCHEMA
from psmnet.learning import WORK_NAME, LearnSettings
from psmnet.models import find_weights
from psmnet.system import StoredFile, StoredPart, read_json, sha256_of
from psmnet.training import METRICS_NAME


@dataclass(frozen=True)
class CohortTask:
    """One learning of a recipe: it can be sent to another process.

    Attributes:
        recipe: where it stands.
        learning: which.
    """

    recipe: CohortRecipe
    learning: Learning

    def title(self) -> str:
        """For people."""
        return self.learning.title()

    def run_folder(self, runs: Path) -> Path:
        """Where the learning lies."""
        return self.learning.run_folder(runs, self.recipe.dataset)

    def results_files(self, out: Path) -> dict[tuple[str, CohortScoring], Path]:
        """Where its results lie."""
        return self.learning.results_files(out, self.recipe.dataset)

    @property
    def steps(self) -> int:
        """Training steps of all rounds."""
        settings = self.settings()
        return sum(settings.training_of(number).steps for number in range(1, settings.rounds + 1))

    def steps_done(self, runs: Path) -> int:
        """Of them, those that are done."""
        run = self.run_folder(runs)
        if (run / STAGES_NAME).exists():
            return self.steps
        return sum(line_count(path) for path in (run / WORK_NAME).glob(f"*/{METRICS_NAME}"))

    def settings(self) -> LearnSettings:
        """Of the learning."""
        return settings_of(self.learning.entry.set, seed=self.learning.seed, steps=self.recipe.steps)

    def recorded_settings(self) -> dict[str, Any]:
        """Settings as in a results file, which has the seed elsewhere."""
        settings: dict[str, Any] = json.loads(json.dumps(asdict(self.settings())))
        del settings["seed"]
        return settings


def line_count(path: Path) -> int:
    """Lines of a file, which may not exist yet."""
    try:
        with path.open("rb") as lines:
            return sum(1 for _ in lines)
    except FileNotFoundError:
        return 0


def cohort_tasks(recipe: CohortRecipe, data: Path) -> list[CohortTask]:
    """All learnings of a recipe on a folder of cases.

    Raises:
        ConfigError: the recipe names a fold that the data does not have, or more support cases.
    """
    cases = find_cases(data)
    facts, prepared = dataset(recipe.dataset), read_dataset_file(data)
    labelled = {case.id for case in cases if case.label_path.exists()}
    splits = []
    for fold in recipe.folds:
        split = split_data(facts, cases, prepared, fold, recipe.support_cases, folds=recipe.scheme)
        train = tuple(case for case in split.train if case in labelled)
        splits.append((fold, replace(split, train=train)))
    return [CohortTask(recipe, learning) for learning in recipe.learnings(splits)]


class _TrainedOn(StoredPart):
    cases: dict[str, str]
    init: str | None = None


class _Provenance(StoredPart):
    checksums: dict[str, str]
    trained_on: _TrainedOn
    model: dict[str, Any]


class _Results(StoredFile):
    """What tells one results file from another of its name."""

    SCHEMA = SCHEMA

    folds: str
    provenance: _Provenance


def is_there(
    path: Path, task: CohortTask, scoring: CohortScoring, used: LearningCases, checksums: Mapping[str, str]
) -> bool:
    """Whether a results file is there and whole; a damaged one is made again, like one that was cut short.

    Args:
        path: of the results file.
        task, scoring: what it is to be of.
        used: the cases of the learning.
        checksums: of all images, by case.

    Raises:
        InputError: it is not a results file.
        ConfigError: it is of another learning.
    """
    try:
        content = read_json(path)
    except InputError:  # none, or one that was cut short
        return False
    try:
        found = _Results.model_validate(content if _Results.has_schema(content) else {})
    except ValidationError as error:
        raise InputError(
            f"{path} is not a results file of a learning", "move it away, or choose another folder", code="out-move"
        ) from error
    supports = [case.id for case in used.supports]
    queries = [case.id for case in used.queries if case.id in scoring.queries]
    its = found.provenance
    compared: dict[str, tuple[Any, Any]] = {
        "folds": (found.folds, task.recipe.scheme),
        "queries and labelled scans": (its.checksums, {case: checksums[case] for case in (*queries, *supports)}),
        "scans to learn from": (
            its.trained_on.cases,
            {case: checksums[case] for case in (*(one.id for one in used.cohort), *supports)},
        ),
        "weights": (its.trained_on.init, sha256_of(find_weights(task.recipe.weights))),
        "settings": (its.model, task.recorded_settings()),
    }
    if differing := [name for name, (is_, wanted) in compared.items() if is_ != wanted]:
        raise ConfigError(
            f"{path} was made with other {' and other '.join(differing)}", "choose another folder", code="out"
        )
    return True
