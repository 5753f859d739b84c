"""A learning from paths to RUN: masks of the cohort, the learned network, and the record of both."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from psmnet import runtime
from psmnet.cohort.job import CohortJob, StoredProbabilities
from psmnet.cohort.learn_record import RECORD_NAME, JudgedOrgan, JudgedScan, LearnRecord
from psmnet.cohort.records import SkippedFile
from psmnet.cohort.run import segment_cohort
from psmnet.cohort.summary import Cohort
from psmnet.cohort.worker import failure
from psmnet.errors import ConfigError
from psmnet.io import OrganName, Query, Skipped, checksum, digest
from psmnet.learning import Learned, LearnJob, Progress, as_levels, confidence, learn_network, silent
from psmnet.models import WEIGHTS_NAME
from psmnet.system import ONE_AT_A_TIME, Workers, atomic_path, locked, sha256_of, sweep
from psmnet.training import joined

MASKS_NAME, FINAL_NAME = "masks", "final"
COPY = "it is a copy of a labelled scan"


@dataclass(frozen=True)
class LearnedCohort:
    """What a learning left.

    Attributes:
        record: of all scans.
        cohort: masks of all scans, as `segment_cohort` returns them.
        called: organ names by label value.
        kept: whether an earlier run had finished it.
    """

    record: LearnRecord
    cohort: Cohort
    called: Mapping[int, OrganName]
    kept: bool


def learn_cohort(
    job: LearnJob,
    queries: Sequence[Query],
    skipped: Sequence[Skipped] = (),
    *,
    ending: str = CohortJob.ending,
    workers: Workers = ONE_AT_A_TIME,
    progress: Progress = silent,
) -> LearnedCohort | None:
    """Learn from labelled scans and a cohort, and write to RUN the network, the masks and a record.

    A learning that was killed goes on where it was; one that has finished is not done again.

    Args:
        job: labelled scans and settings.
        queries: the cohort.
        skipped: files that were no scans, for the report.
        ending: file format of the masks, in FORMATS.
        workers: who works on the scans.
        progress: of each stage.

    Returns:
        what was learned; None in a process of torchrun that is not the first.

    Raises:
        ConfigError: RUN holds a finished learning from other scans or with other settings.
        InputError: the labelled scans, the weights or too many scans can't be used.
    """
    if job.threads is None:
        job = replace(job, threads=workers.threads)
    with joined(runtime.pick_device(job.device)) as ranks:
        if not ranks.first:
            learn_network(job, queries, ranks=ranks)
            return None
        key = _key(job, queries)
        with locked(job.out):
            sweep(job.out)
            if (record := _finished(job, key, ending)) is not None:
                names = {scan.name for scan in record.scans}
                _, loaded, cohort = segment_cohort(
                    _masks_job(job, ending, key), [query for query in queries if query.name in names], skipped
                )
                return LearnedCohort(record, cohort, loaded.called, kept=True)
            seconds: dict[str, float] = {}
            learned = learn_network(job, queries, workers=workers, ranks=ranks, progress=_timed(progress, seconds))
            skipped = [*skipped, *(Skipped(query.path, COPY) for query in learned.copies)]
            final = _store_final(learned)
            total = len(learned.queries)
            _, _, cohort = segment_cohort(
                _masks_job(job, ending, key),
                learned.queries,
                skipped,
                failed_before=learned.failed,
                workers=workers,
                report=lambda done, name: progress("masks", done, total, name),
            )
            record = _record(learned, final, key, skipped, seconds)
            record.write(job.out / RECORD_NAME)
            if not cohort.failed:  # else they stay, so that a repaired scan does not cost all the others again
                shutil.rmtree(job.work)  # nobody expects patient data in the folder of a run
            return LearnedCohort(record, cohort, learned.loaded.called, kept=False)


def _store_final(learned: Learned) -> dict[str, tuple[float, ...]]:
    """Write the probabilities that masks are decided from; returns each organ's confidence in them, by scan."""
    found = {}
    for query in learned.queries:
        probabilities = learned.opinions.probabilities(query.name)
        with atomic_path(learned.job.work / FINAL_NAME / f"{query.name}.npy") as temporary:
            np.save(temporary, as_levels(probabilities))
        found[query.name] = tuple(confidence(probabilities).tolist())
    return found


def _key(job: LearnJob, queries: Sequence[Query]) -> str:
    """Checksum of everything that is learned from, and how."""
    return digest(job.with_key(job.load()).key, *sorted(f"{one.name} {checksum(one.path)}" for one in queries))


def _finished(job: LearnJob, key: str, ending: str) -> LearnRecord | None:
    """The record of this learning, if it has finished and its files are all there.

    Raises:
        ConfigError: there is one of another learning.
    """
    if not (job.out / RECORD_NAME).exists():
        return None
    record = LearnRecord.read(job.out / RECORD_NAME)
    if record.key != key:
        raise ConfigError(
            f"{job.out} holds what was learned from other scans or with other settings",
            "choose another folder",
            code="out",
        )
    outputs = [_masks_job(job, ending, key).outputs(scan.name) for scan in record.scans]
    weights = job.out / WEIGHTS_NAME
    known = record.weights_sha256 is None or (weights.exists() and sha256_of(weights) == record.weights_sha256)
    there = all(one.mask.exists() and one.record.exists() for one in outputs)
    return record if known and there and not record.failed else None


def _masks_job(job: LearnJob, ending: str, key: str) -> CohortJob:
    """How the masks of the cohort are written, as `segment` writes them."""
    return CohortJob(
        supports=job.supports,
        out=job.out / MASKS_NAME,
        names=job.names,
        labels=job.labels,
        series=job.series,
        trust_grid=job.trust_grid,
        weights=job.weights,
        device=job.device,
        threads=job.threads,
        ending=ending,
        stored=StoredProbabilities(job.work / FINAL_NAME, key),
    )


def _timed(progress: Progress, seconds: dict[str, float]) -> Progress:
    """The same, noting for how long each stage has been reporting."""
    began: dict[str, float] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        seconds[stage] = round(time.perf_counter() - began.setdefault(stage, time.perf_counter()), 3)
        progress(stage, done, total, note)

    return report


def _record(
    learned: Learned,
    final: Mapping[str, Sequence[float]],
    key: str,
    skipped: Sequence[Skipped],
    seconds: dict[str, float],
) -> LearnRecord:
    return LearnRecord(
        key=key,
        supports=[{"image": image.name, "labels": labels.name} for image, labels in learned.job.supports],
        labels={value: organ.name for value, organ in learned.loaded.called.items()},
        scans=[
            JudgedScan(query=one.path.name, name=one.name, organs=_organs(learned, one, final[one.name]))
            for one in learned.queries
        ],
        copies=[query.path.name for query in learned.copies],
        failed=[failure(query, error, anonymise=False) for query, error in learned.failed],
        skipped=[SkippedFile(file=skip.path.name, reason=skip.reason) for skip in skipped],
        notes=list(learned.loaded.notes),
        settings=asdict(learned.job.settings),
        weights_sha256=None if learned.weights is None else sha256_of(learned.weights),
        versions=runtime.versions(),
        seconds=seconds,
    )


def _organs(learned: Learned, query: Query, final: Sequence[float]) -> dict[str, JudgedOrgan]:
    opinions = learned.opinions
    first, vote, student = (
        opinions.first[query.name],
        opinions.votes[query.name],
        opinions.student.get(query.name),
    )
    found = {}
    for number, organ in enumerate(learned.loaded.called.values()):
        judged = JudgedOrgan(
            first=first.confidence[number],
            vote=vote.confidence[number],
            final=final[number],
            vote_registration=None if vote.agreement is None else vote.agreement[number],
        )
        if student is not None:
            registered = student.with_registration
            judged.student, judged.vote_student = student.confidence[number], student.with_vote[number]
            judged.student_registration = None if registered is None else registered[number]
        found[organ.name] = judged
    return found
