"""A benchmark of learning from a cohort (protocol `cohort`): its recipe, and the learnings that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Strict

from psmnet.catalog import FOLDS, dataset
from psmnet.data import Split
from psmnet.errors import require, unknown
from psmnet.io import digest
from psmnet.learning import FINAL, STAGES

_STRICT = ConfigDict(extra="forbid")
Whole = Annotated[int, Strict()]  # YAML's true is no 1

LEARN, STUDENT = "learn", "student"
METHODS = {
    LEARN: "labelled scans and a cohort of unlabelled ones",
    STUDENT: "the same student network, trained on labelled scans only",
}
TRANSDUCTIVE, INDUCTIVE = "transductive", "inductive"
COHORTS = {
    TRANSDUCTIVE: "the queries, without labels, are in the cohort",
    INDUCTIVE: "the queries are left out of the cohort",
}
FIRST = STAGES[0]
MOST_LETTERS = 60  # of ids in a folder's name


@dataclass(frozen=True)
class CohortEntry:
    """One method, or one choice of its settings.

    Attributes:
        method: in METHODS.
        set: `NAME=VALUE` settings of the learning.
    """

    __pydantic_config__ = _STRICT

    method: str
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        own = [text for text in self.set if text.partition("=")[0] in ("seed", "steps")]
        require(not own, f"set with {', '.join(own)}", "give seeds and steps of the whole recipe")
        what = "set with vote_only"
        require(not any(t.startswith("vote_only=") for t in self.set), what, "leave it out: the vote is scored anyway")

    def variant(self, *parts: str) -> str | None:
        """Of a results file: stage, cohort and settings that were changed."""
        return ",".join([*parts, *sorted(self.set)]) or None

    def name(self, *parts: str) -> str:
        """Folder: the method with its variant."""
        return "-".join(filter(None, [self.method, self.variant(*parts)]))


@dataclass(frozen=True)
class CohortRecipe:
    """Learnings from labelled scans of each fold's `ouyang` order and from all other scans, scored on the fold.

    Attributes:
        dataset: name in the catalog.
        protocol: tells this kind of recipe from the others.
        methods: `learn`, `student`, or both.
        cohorts: of `learn`: in COHORTS.
        folds: which.
        seeds: of the students' training.
        scheme: of the folds, in `catalog.FOLDS` without Li's.
        support_cases: cases after a fold that may be labelled.
        shots: numbers of labelled scans, the first ones after the fold.
        each_support: learn from each single one of them, too.
        ceiling: also train a student on the labels of all scans outside the fold.
        weights: that first masks are made with and that students begin with (`bundled`, a run, a file).
        steps: of every student's last round; None for the learning's own.
    """

    __pydantic_config__ = _STRICT

    dataset: str
    protocol: Literal["cohort"]
    methods: tuple[CohortEntry, ...] = (CohortEntry(LEARN),)
    cohorts: tuple[str, ...] = (TRANSDUCTIVE, INDUCTIVE)
    folds: tuple[Whole, ...] = (0, 1, 2, 3, 4)
    seeds: tuple[Whole, ...] = (0,)
    scheme: str = "ouyang"
    support_cases: Whole = 1
    shots: tuple[Whole, ...] = (1,)
    each_support: bool = False
    ceiling: bool = False
    weights: str = "bundled"
    steps: Whole | None = None

    def __post_init__(self) -> None:
        dataset(self.dataset)
        for name in ("methods", "cohorts", "folds", "seeds", "shots"):
            values = getattr(self, name)
            require(len(values) > 0, f"no {name}", f"give at least one of {name}")
            require(len(set(values)) == len(values), f"{name} with one twice", "give each once")
        for cohort in self.cohorts:
            if cohort not in COHORTS:
                raise unknown("cohort", cohort, COHORTS)
        require(
            min(self.shots) >= 1 and max(self.shots) <= self.support_cases,
            f"shots {', '.join(map(str, self.shots))} of {self.support_cases} support cases",
            "give shots from 1 to support_cases",
        )
        require(min(self.seeds) >= 0 and max(self.seeds) < 2**32, f"seeds {self.seeds}", "give 0 to 4294967295")
        schemes = [name for name in FOLDS if name != "li"]
        require(self.scheme in schemes, f"scheme {self.scheme!r}", f"give one of {', '.join(schemes)}")
        require(self.steps is None or self.steps > 0, f"steps is {self.steps}", "give 1 or more")

    def learnings(self, splits: Sequence[tuple[int, Split]]) -> list["Learning"]:
        """All learnings, each with what is scored of it; folds that have a labelled scan in common share its learning.

        Args:
            splits: number of each fold and its cases, with `support_cases` supports.
        """
        scored: dict[Learning, dict[CohortScoring, None]] = {}
        for seed, (fold, split) in product(self.seeds, splits):
            for learning, scoring in self._of_fold(seed, fold, split):
                scored.setdefault(learning, {})[scoring] = None
        return [learning.scoring(tuple(scorings)) for learning, scorings in scored.items()]

    def _of_fold(self, seed: int, fold: int, split: Split) -> Iterator[tuple["Learning", "CohortScoring"]]:
        choices = [(split.support[:shots], CohortScoring(fold, split.test, shots=shots)) for shots in self.shots]
        if self.each_support:
            others = split.support[1:] if 1 in self.shots else split.support
            choices += [((case,), CohortScoring(fold, split.test, support=case)) for case in others]
        for (supports, scoring), entry in product(choices, self.methods):
            for left_out in self._left_out(entry, split):
                yield Learning(entry, supports, left_out, seed), scoring
        if self.ceiling:
            everything = (*split.support, *split.train)
            for entry in [entry for entry in self.methods if entry.method == STUDENT] or [CohortEntry(STUDENT)]:
                yield (
                    Learning(entry, everything, (), seed),
                    CohortScoring(fold, split.test, shots=len(everything)),
                )

    def _left_out(self, entry: CohortEntry, split: Split) -> list[tuple[str, ...]]:
        if entry.method == STUDENT:
            return [()]
        return [split.test if cohort == INDUCTIVE else () for cohort in self.cohorts]


@dataclass(frozen=True)
class CohortScoring:
    """The queries of one fold, and which labelled scans are meant there.

    Attributes:
        fold: number.
        queries: ids of its cases.
        shots: number of labelled scans.
        support: id of the single labelled scan, if it is another one than the fold names.
    """

    fold: int
    queries: tuple[str, ...]
    shots: int = 1
    support: str | None = None

    def name(self, seed: int) -> str:
        """Of a results file, without its ending (protocols.md)."""
        more = f"_support{self.support}" if self.support else f"_shots{self.shots}" if self.shots > 1 else ""
        return f"fold{self.fold}_seed{seed}{more}"


@dataclass(frozen=True)
class Learning:
    """One learning: what is labelled, what is left out of the cohort, and the seed.

    Attributes:
        entry: method and settings.
        supports: ids of the labelled scans.
        left_out: ids of the cases that are not in the cohort: the queries, or none.
        seed: of the student's training.
        scorings: what is scored of it.
    """

    entry: CohortEntry
    supports: tuple[str, ...]
    left_out: tuple[str, ...]
    seed: int
    scorings: tuple[CohortScoring, ...] = ()

    def scoring(self, scorings: tuple[CohortScoring, ...]) -> "Learning":
        """The same with what is scored."""
        return Learning(self.entry, self.supports, self.left_out, self.seed, scorings)

    @property
    def queries(self) -> tuple[str, ...]:
        """Ids of all cases that are scored."""
        return tuple(dict.fromkeys(case for scoring in self.scorings for case in scoring.queries))

    @property
    def cohort(self) -> str | None:
        """The name in COHORTS; None without one."""
        return None if self.entry.method == STUDENT else INDUCTIVE if self.left_out else TRANSDUCTIVE

    @property
    def stages(self) -> tuple[str, ...]:
        """Which masks there are: of a scan that was left out, only those of the learned network."""
        return STAGES if self.cohort == TRANSDUCTIVE else (FINAL,)

    def row(self, stage: str) -> tuple[str, ...]:
        """What a row of the table is called besides its method; first masks owe nothing to the cohort."""
        if self.cohort is None:
            return ()
        return (stage,) if stage == FIRST else (stage, self.cohort)

    def title(self) -> str:
        """For people."""
        left_out = f", without {_listed(self.left_out)}" if self.left_out else ""
        return f"{self.entry.name()}, support {_listed(self.supports)}{left_out}, seed {self.seed}"

    def run_folder(self, runs: Path, dataset_name: str) -> Path:
        """Where it lies below the folder of trainings."""
        left_out = f"_without{_listed(self.left_out)}" if self.left_out else ""
        name = f"support{_listed(self.supports)}{left_out}_seed{self.seed}"
        return runs / dataset_name / "cohort" / self.entry.name() / name

    def results_files(self, out: Path, dataset_name: str) -> dict[tuple[str, CohortScoring], Path]:
        """Where its results lie (protocols.md), by stage and scoring."""
        folder = out / dataset_name / "s1" / "cohort"
        return {
            (stage, scoring): folder / self.entry.name(*self.row(stage)) / f"{scoring.name(self.seed)}.json"
            for stage, scoring in product(self.stages, self.scorings)
        }


def _listed(ids: Sequence[str]) -> str:
    text = "+".join(ids)
    return text if len(text) <= MOST_LETTERS else f"-{len(ids)}-scans-{digest(*ids)[:8]}"
