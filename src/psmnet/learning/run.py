"""A learning from labelled scans and a cohort to a network: first masks, vote, student."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from psmnet.errors import InputError, PsmnetError
from psmnet.io import Query, digest
from psmnet.learning.first_masks import CopyOfSupport, FirstMask, FirstMasks
from psmnet.learning.job import LabelledScans, LearnJob
from psmnet.learning.opinions import Opinions, weight_of_registration
from psmnet.learning.soft_labels import confidence
from psmnet.learning.student_masks import StudentMask, StudentMasks
from psmnet.learning.targets import Taught
from psmnet.learning.taught import open_organs, taught_by_cohort, taught_by_labels
from psmnet.learning.train import new_student, save_student, train_on
from psmnet.learning.vote import PseudoSupport, Vote, VotedMask, pseudo_supports
from psmnet.models import WEIGHTS_NAME, Student
from psmnet.segmentation import scan_facts
from psmnet.system import ONE_AT_A_TIME, Workers, counted
from psmnet.training import ALONE, METRICS_NAME, Ranks

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
        opinions: what is thought of each scan; without a student's where nothing was trained.
        copies: scans that are copies of labelled ones, which were left out.
        failed: scans that could not be used, and why.
        weights: file of the learned network; None without training.
        trainings: files with the losses of each round's steps.
    """

    job: LearnJob
    loaded: LabelledScans
    queries: tuple[Query, ...]
    opinions: Opinions
    copies: tuple[Query, ...] = ()
    failed: tuple[tuple[Query, PsmnetError], ...] = ()
    weights: Path | None = None
    trainings: tuple[Path, ...] = ()


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
        labelled = taught_by_labels(self.loaded)
        settings = self.job.settings
        opinions = found.opinions
        student = new_student(self.loaded, settings.seed)
        trainings: list[Path] = []
        for number in range(1, settings.rounds + 1):
            key = digest(self.job.key, str(number), *(opinions.key(query.name) for query in found.queries))
            folder = self.job.work / f"student-{key[:16]}"
            title = f"training {number} of {settings.rounds}" if settings.rounds > 1 else "training"
            others = self.ranks.in_turn(partial(self._taught, opinions, number))
            training = settings.training_of(number)
            student = train_on(
                self.job,
                self.loaded,
                labelled,
                others,
                folder,
                training=training,
                begin_with=student,
                ranks=self.ranks,
                report=partial(self._show_step, title, training.steps),
            )
            trainings.append(folder / METRICS_NAME)
            weights = folder / WEIGHTS_NAME
            judged = self.ranks.in_turn(partial(self._judge, student, found, weights, f"masks after {title}"))
            trusted = opinions.registration or weight_of_registration(list(judged.values()))
            opinions = replace(opinions, student=judged, registration=trusted)
        weights = self.job.out / WEIGHTS_NAME
        if self.ranks.first:
            facts = [one.facts for one in opinions.student.values()]
            save_student(weights, student, self.job, self.loaded, list(opinions.first.values()), facts)
        return replace(found, opinions=opinions, weights=weights, trainings=tuple(trainings))

    def _taught(self, opinions: Opinions, number: int) -> list[Taught]:
        """The cohort with the pseudo-labels of round `number`.

        The first round learns what vote and registration agree upon, the second what they say when weighed by the
        student of the first, and further ones what the student says, too.
        """
        if number <= 2:
            opinions = replace(opinions, student={})
        sure = {name: confidence(opinions.probabilities(name)) for name in opinions.votes}
        opened = open_organs(sure, self.job.settings.share)
        if number == 1:
            opened = {name: organs | opinions.disputed(name) for name, organs in opened.items()}
        return taught_by_cohort(self.loaded, opinions, opened, agreed_only=number == 1)

    def _show_step(self, title: str, steps: int, step: int, losses: dict[str, float]) -> None:
        self.progress(title, step, steps, " ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))

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
        places = 0 if self.loaded.earlier is not None else self.job.settings.voters - labelled
        chosen = pseudo_supports(list(first.values()), places)
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
            Opinions(
                self.job.work,
                {query.name: first[query.name] for query in used},
                {query.name: votes[query.name] for query in used},
            ),
            copies=tuple(copies),
            failed=tuple(failed),
        )

    def _save(self, student: Student, found: Learned, weights: Path) -> None:
        """Write the student, for the workers that segment the cohort with it."""
        device = torch.device("cpu")
        facts = [scan_facts(student, self.loaded.view, image, device) for image, _ in self.loaded.supports.pairs]
        save_student(weights, student, self.job, self.loaded, list(found.opinions.first.values()), facts)

    def _judge(self, student: Student, found: Learned, weights: Path, stage: str) -> dict[str, StudentMask]:
        """Segment the cohort with the student; by name, as sums over scans depend on their order in the last bits."""
        self._save(student, found, weights)
        votes = found.opinions.votes
        keys = {name: (one.key, votes[name].key) for name, one in found.opinions.first.items()}
        work = StudentMasks(self.job, weights, keys)
        judged = {}
        for query, result in self._map(stage, partial(StudentMasks, self.job, weights, keys), found.queries, work):
            if isinstance(result, PsmnetError):
                raise result
            judged[query.name] = result
        return dict(sorted(judged.items()))

    def _map(
        self,
        stage: str,
        factory: Callable[[], Callable[[Item], Result]],
        items: Sequence[Item],
        here: Callable[[Item], Result],
    ) -> "list[tuple[Item, Result | PsmnetError]]":
        """Work on all items of a stage, in their order."""
        results: dict[Item, Result | PsmnetError] = {}
        self.progress(stage, 0, len(items))
        with closing(
            self.workers.map(factory, items, key=digest(self.job.key, stage), folder=self.job.out, here=here)
        ) as done:
            for item, result in done:
                results[item] = result
                self.progress(stage, len(results), len(items))
        return [(item, results[item]) for item in items]

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
