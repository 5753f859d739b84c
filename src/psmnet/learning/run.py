"""A learning from labelled scans and a cohort to a network: first masks, vote, student."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from psmnet.errors import InputError, PsmnetError
from psmnet.io import Query, digest
from psmnet.learning.first_masks import CopyOfSupport, FirstMask, FirstMasks
from psmnet.learning.job import LabelledScans, LearnJob
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.student_masks import STUDENT, StudentMask, StudentMasks
from psmnet.learning.taught import open_organs, taught_by_cohort, taught_by_labels
from psmnet.learning.train import new_student, save_student, train_on
from psmnet.learning.vote import VOTE, PseudoSupport, Vote, VotedMask, pseudo_supports
from psmnet.models import WEIGHTS_NAME, Student
from psmnet.segmentation import scan_facts
from psmnet.system import ONE_AT_A_TIME, Workers, counted
from psmnet.training import ALONE, Ranks

FEWEST = 4  # scans of a cohort: fewer teach less than they mislead

Item = TypeVar("Item")
Result = TypeVar("Result")


class Progress(Protocol):
    """Called with a stage's name, finished and all of its scans or steps, and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show it."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Learned:
    """What a learning found.

    Attributes:
        job, loaded: the job with its key, and its labelled scans.
        queries: scans of the cohort that could be used.
        first, votes, student: by scan, what each stage tells; `student` is empty without training.
        copies: scans that are copies of labelled ones, which were left out.
        failed: scans that could not be used, and why.
        weights: file of the learned network; None without training.
    """

    job: LearnJob
    loaded: LabelledScans
    queries: tuple[Query, ...]
    first: Mapping[str, FirstMask]
    votes: Mapping[str, VotedMask]
    student: Mapping[str, StudentMask] = field(default_factory=dict)
    copies: tuple[Query, ...] = ()
    failed: tuple[tuple[Query, PsmnetError], ...] = ()
    weights: Path | None = None


def learn_network(
    job: LearnJob,
    queries: Sequence[Query],
    *,
    workers: Workers = ONE_AT_A_TIME,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
) -> Learned:
    """Learn a network from labelled scans and a cohort of unlabelled ones.

    What each stage makes of a scan is kept in RUN/work under the checksum of its inputs: a learning that was killed
    goes on where it was, and ends with the same weights, bit for bit on a CPU with as many threads.

    Args:
        job: labelled scans and settings.
        queries: the cohort. Its labels, if there are any, are never read.
        workers: who works on the scans.
        ranks: processes that torchrun started, which share the training; the first does everything else.
        progress: of each stage.

    Raises:
        InputError: fewer than four scans of the cohort can be used, an organ is found in none of them, or the labelled
            scans or weights can't be used.
    """
    loaded = job.load()
    job = job.with_key(loaded)
    return _Learning(job, loaded, workers, ranks, progress).run(queries)


@dataclass
class _Learning:
    job: LearnJob
    loaded: LabelledScans
    workers: Workers
    ranks: Ranks
    progress: Progress

    def run(self, queries: Sequence[Query]) -> Learned:
        self.job.work.mkdir(parents=True, exist_ok=True)
        found = self.ranks.in_turn(lambda: self._labels(queries))
        if self.job.settings.vote_only:
            return found
        opened = open_organs({name: one.confidence for name, one in found.votes.items()}, self.job.settings.share)
        labelled = taught_by_labels(self.loaded)
        stage, keys = VOTE, {name: one.key for name, one in found.votes.items()}
        student = new_student(self.loaded, self.job.settings.seed)
        judged: dict[str, StudentMask] = {}
        for number in range(1, self.job.settings.rounds + 1):
            key = digest(self.job.key, str(number), *(keys[name] for name in sorted(keys)))
            folder = self.job.work / f"student-{key[:16]}"
            others = self.ranks.in_turn(
                partial(taught_by_cohort, self.job, self.loaded, list(found.first.values()), stage, keys, opened)
            )
            steps = self.job.settings.training.steps
            title = "training" if self.job.settings.rounds == 1 else f"training, round {number}"

            def report(step: int, losses: dict[str, float], title: str = title, steps: int = steps) -> None:
                self.progress(title, step, steps, " ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))

            student = train_on(
                self.job, self.loaded, labelled, others, folder, begin_with=student, ranks=self.ranks, report=report
            )
            judged = self.ranks.in_turn(
                partial(
                    self._judge, student, found, folder / WEIGHTS_NAME, title.replace("training", "student's masks")
                )
            )
            stage, keys = STUDENT, {name: one.key for name, one in judged.items()}
            opened = open_organs({name: one.mixed_confidence for name, one in judged.items()}, self.job.settings.share)
        weights = self.job.out / WEIGHTS_NAME
        if self.ranks.first:
            facts = [one.facts for one in judged.values()]
            save_student(weights, student, self.job, self.loaded, list(found.first.values()), facts)
        return replace(found, student=judged, weights=weights)

    def _labels(self, queries: Sequence[Query]) -> Learned:
        """First masks and vote."""
        first: dict[str, FirstMask] = {}
        failed: list[tuple[Query, PsmnetError]] = []
        copies: list[Query] = []
        here = FirstMasks(self.job, self.loaded)
        for query, result in self._map("first masks", partial(FirstMasks, self.job), queries, here):
            if isinstance(result, FirstMask):
                first[query.name] = result
            elif isinstance(result, CopyOfSupport):
                copies.append(query)
            else:
                failed.append((query, result))
        used = [query for query in queries if query.name in first]
        self._require_enough(used, [first[query.name] for query in used], failed)
        labelled = len(self.loaded.supports.pairs)
        chosen = pseudo_supports(list(first.values()), self.job.settings.voters - labelled)
        by_name = {query.name: query for query in used}
        voters = [PseudoSupport(by_name[one.name], one.key) for one in chosen]
        items = [(query, first[query.name].key) for query in used]
        votes: dict[str, VotedMask] = {}
        vote = Vote(self.job, voters, self.loaded)
        for (query, _), voted in self._map("vote", partial(Vote, self.job, tuple(voters)), items, vote):
            if isinstance(voted, PsmnetError):
                failed.append((query, voted))
            else:
                votes[query.name] = voted
        used = [query for query in used if query.name in votes]
        return Learned(
            self.job,
            self.loaded,
            tuple(used),
            {query.name: first[query.name] for query in used},
            {query.name: votes[query.name] for query in used},
            copies=tuple(copies),
            failed=tuple(failed),
        )

    def _save(self, student: Student, found: Learned, weights: Path) -> None:
        """Write the student, for the workers that segment the cohort with it."""
        device = torch.device("cpu")
        facts = [scan_facts(student, self.loaded.view, image, device) for image, _ in self.loaded.supports.pairs]
        save_student(weights, student, self.job, self.loaded, list(found.first.values()), facts)

    def _judge(self, student: Student, found: Learned, weights: Path, stage: str) -> dict[str, StudentMask]:
        """Segment the cohort with the student."""
        self._save(student, found, weights)
        keys = {name: (one.key, found.votes[name].key) for name, one in found.first.items()}
        work = StudentMasks(self.job, weights, keys)
        judged = {}
        for query, result in self._map(stage, partial(StudentMasks, self.job, weights, keys), found.queries, work):
            if isinstance(result, PsmnetError):
                raise result
            judged[query.name] = result
        return judged

    def _map(
        self,
        stage: str,
        factory: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        here: Callable[[Item], Result],
    ) -> "list[tuple[Item, Result | PsmnetError]]":
        """Work on all items of a stage, in their order."""
        results: dict[int, Result | PsmnetError] = {}
        places = {id(item): number for number, item in enumerate(items)}
        self.progress(stage, 0, len(items))
        with closing(
            self.workers.map(factory, items, key=digest(self.job.key, stage), folder=self.job.out, here=here)
        ) as done:
            for item, result in done:
                results[places[id(item)]] = result
                self.progress(stage, len(results), len(items))
        return [(item, results[number]) for number, item in enumerate(items)]

    def _require_enough(
        self, used: Sequence[Query], first: Sequence[FirstMask], failed: Sequence[tuple[Query, PsmnetError]]
    ) -> None:
        """Refuse what would only mislead."""
        if len(used) < FEWEST:
            why = f" ({failed[0][0].path.name}: {failed[0][1].what})" if failed else ""
            raise InputError(
                f"{counted(len(used), 'unlabelled scan')} that can be used{why}",
                f"give at least {FEWEST}, or segment them without learning",
                code="few-scans",
            )
        for number, (value, organ) in enumerate(self.loaded.called.items()):
            if all(one.confidence[number] == 0 for one in first):
                raise InputError(
                    f"{organ.name} (label {value}) is found in none of the {counted(len(used), 'unlabelled scan')}",
                    "label a scan in which it looks more like in the others, or leave this label out",
                    code="organ-nowhere",
                )


def final_probabilities(learned: Learned, query: Query) -> npt.NDArray[np.uint8]:
    """What a scan's final mask is decided from: probabilities (K, Z, h, w), 0..255, in the student's pixels."""
    trained = learned.student.get(query.name)
    stage, key = (STUDENT, trained.key) if trained else (VOTE, learned.votes[query.name].key)
    return ScanStore(learned.job.work, query.name).require(stage, key)["probabilities"]
