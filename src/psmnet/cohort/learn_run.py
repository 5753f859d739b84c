"""A learning from paths to RUN: masks of the cohort, the learned network, and the record of both."""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from psmnet import runtime
from psmnet.cohort.earlier_masks import make_way, require_own_masks
from psmnet.cohort.first_mask_files import write_first_masks
from psmnet.cohort.go_on import go_on_from
from psmnet.cohort.job import CohortJob, StoredProbabilities
from psmnet.cohort.learn_pictures import FEW, LARGE_PX, SMALL_PX, StagePictures
from psmnet.cohort.learn_quality import quality_warning
from psmnet.cohort.learn_record import (
    MASKS_NAME,
    RECORD_NAME,
    JudgedOrgan,
    JudgedScan,
    LabelledPair,
    LearnRecord,
)
from psmnet.cohort.learn_report import METRICS_NAME, gather_metrics, write_learn_report
from psmnet.cohort.records import SkippedFile
from psmnet.cohort.run import segment_cohort
from psmnet.cohort.summary import Cohort
from psmnet.cohort.worker import failure
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.io import OrganName, Query, Skipped, checksum, digest
from psmnet.learning import Learned, LearnJob, Progress, StageLabels, as_levels, confidence, learn_network, silent
from psmnet.models import WEIGHTS_NAME
from psmnet.segmentation import StudentView
from psmnet.system import ONE_AT_A_TIME, Workers, atomic_path, locked, sha256_of, sweep
from psmnet.training import joined

FINAL_NAME, PICTURES_NAME = "final", "pictures"
COPY = "it is a copy of a labelled scan"


@dataclass(frozen=True)
class LearnedCohort:
    """What a learning left.

    Attributes:
        out: folder of the learning.
        record: of all scans.
        cohort: masks of all scans, as `segment_cohort` returns them.
        called: organ names by label value.
        kept: whether an earlier run had finished it.
    """

    out: Path
    record: LearnRecord
    cohort: Cohort
    called: Mapping[int, OrganName]
    kept: bool

    @property
    def masks(self) -> dict[str, Path]:
        """Mask of each scan that was segmented, by the scan's name."""
        return {entry.name: self.out / MASKS_NAME / entry.mask for entry in self.cohort.entries}

    @property
    def weights(self) -> Path | None:
        """File of the learned network; None where nothing was trained."""
        return None if self.record.weights_sha256 is None else self.out / WEIGHTS_NAME

    @property
    def failed(self) -> dict[str, PsmnetError]:
        """Scans that could not be used, and why."""
        return {query.name: error for query, error in self.cohort.failed}


def learn_cohort(
    job: LearnJob,
    queries: Sequence[Query],
    skipped: Sequence[Skipped] = (),
    *,
    earlier: Path | None = None,
    ending: str = CohortJob.ending,
    keep_first: bool = False,
    workers: Workers = ONE_AT_A_TIME,
    progress: Progress = silent,
) -> LearnedCohort | None:
    """Learn from labelled scans and a cohort, and write to RUN the network, the masks, a report and a record.

    A learning that was killed goes on where it was; one that has finished is not done again. Masks in RUN that
    somebody has edited are kept.

    Args:
        job: labelled scans and settings.
        queries: the cohort.
        skipped: files that were no scans, for the report.
        earlier: folder of a learning to go on from, see `go_on_from`; its organs must be the same.
        ending: file format of the masks, in FORMATS.
        keep_first: keep the first masks, too, in RUN/first.
        workers: who works on the scans.
        progress: of each stage.

    Returns:
        what was learned; None in a process of torchrun that is not the first.

    Raises:
        ConfigError: RUN holds a finished learning from other scans or with other settings.
        InputError: the labelled scans, the weights, the earlier learning or too many scans can't be used.
    """
    if job.threads is None:
        job = replace(job, threads=workers.threads)
    notes: list[str] = []
    if earlier is not None:
        job, notes = go_on_from(job, earlier)
    with joined(runtime.pick_device(job.device)) as ranks:
        if not ranks.first:
            learn_network(job, queries, ranks=ranks)
            return None
        loaded = job.load()
        keys = _Keys.of(job.with_key(loaded), queries, ending)
        masks = _masks_job(job, ending, keys.whole, loaded.view)
        with locked(job.out):
            sweep(job.out)
            if (record := _finished(masks, job, keys)) is not None:
                names = {scan.name for scan in record.scans}
                used = [query for query in queries if query.name in names]
                cohort = segment_cohort(masks, used, skipped)[2]
                shutil.rmtree(job.work, ignore_errors=True)  # of a run that was killed at its very end
                return LearnedCohort(job.out, record, cohort, loaded.called, kept=True)
            require_own_masks(masks, queries)
            seconds: dict[str, float] = {}
            timed = _timed(progress, seconds)
            learned = learn_network(job, queries, workers=workers, ranks=ranks, progress=timed)
            skipped = [*skipped, *(Skipped(query.path, COPY) for query in learned.copies)]
            final = _store_final(learned)
            masks = masks.with_key(masks.load())
            make_way(masks, queries)
            if keep_first:
                write_first_masks(learned, ending)
            timed("masks", 0, len(learned.queries))
            cohort = segment_cohort(
                masks,
                learned.queries,
                skipped,
                failed_before=learned.failed,
                workers=workers,
                report=lambda done, name: timed("masks", done, len(learned.queries), name),
            )[2]
            pictures = _pictures(learned, masks, workers, timed)
            record = _record(learned, final, keys, skipped, [*notes, *learned.loaded.notes], seconds, cohort)
            _report(learned, record, cohort, pictures)
            record.write(job.out / RECORD_NAME)  # the last: who finds it finds all the rest
            if not cohort.failed:  # else they stay, so that a repaired scan does not cost all the others again
                shutil.rmtree(job.work)  # nobody expects patient data in the folder of a run
            return LearnedCohort(job.out, record, cohort, loaded.called, kept=False)


def _pictures(learned: Learned, masks: CohortJob, workers: Workers, progress: Progress) -> dict[str, Path | None]:
    """Draw each scan's masks by stage."""
    height_px = LARGE_PX if len(learned.queries) <= FEW else SMALL_PX
    stages, folder = StageLabels.of(learned), learned.job.work / PICTURES_NAME
    factory = partial(StagePictures, stages, masks, folder, learned.weights is not None, height_px)
    found: dict[str, Path | None] = {}
    progress("pictures", 0, len(learned.queries))
    with closing(
        workers.map(factory, learned.queries, key=digest(masks.key, "pictures"), folder=learned.job.out)
    ) as results:
        for query, result in results:
            found[query.name] = None if isinstance(result, PsmnetError) else result
            progress("pictures", len(found), len(learned.queries))
    return found


def _report(learned: Learned, record: LearnRecord, cohort: Cohort, pictures: dict[str, Path | None]) -> None:
    metrics = None
    if learned.trainings:
        metrics = learned.job.out / METRICS_NAME
        gather_metrics(learned.trainings, metrics)
    write_learn_report(learned.job.out, record, cohort, pictures, metrics)


def _store_final(learned: Learned) -> dict[str, tuple[float, ...]]:
    """Write the probabilities that masks are decided from; returns each organ's confidence in them, by scan."""
    found = {}
    for query in learned.queries:
        probabilities = learned.opinions.probabilities(query.name)
        with atomic_path(learned.job.work / FINAL_NAME / f"{query.name}.npy") as temporary:
            np.save(temporary, as_levels(probabilities))
        found[query.name] = tuple(confidence(probabilities).tolist())
    return found


@dataclass(frozen=True)
class _Keys:
    """Checksums of everything that is learned from, and how: without the cohort, and with it."""

    job: str
    whole: str

    @staticmethod
    def of(job: LearnJob, queries: Sequence[Query], ending: str) -> "_Keys":
        own = digest(job.key, ending)
        return _Keys(own, digest(own, *sorted(f"{query.name} {_checksum(query)}" for query in queries)))


def _checksum(query: Query) -> str:
    try:
        return checksum(query.path)
    except InputError:  # it fails alone, when it is read
        return "unreadable"


def _finished(masks: CohortJob, job: LearnJob, keys: _Keys) -> LearnRecord | None:
    """The record of this learning, if it has finished and its files are all there.

    Raises:
        ConfigError: there is one of another learning.
    """
    if not (job.out / RECORD_NAME).exists():
        return None
    record = LearnRecord.read(job.out / RECORD_NAME)
    if record.key != keys.whole:
        if record.failed and record.job_key == keys.job:  # they have been repaired or left out
            return None
        raise ConfigError(
            f"{job.out} holds what was learned from other scans or with other settings",
            "choose another folder",
            code="out",
        )
    outputs = [masks.outputs(scan.name) for scan in record.scans]
    weights = job.out / WEIGHTS_NAME
    known = record.weights_sha256 is None or (weights.exists() and sha256_of(weights) == record.weights_sha256)
    there = all(path.exists() for one in outputs for path in (one.mask, one.record, one.overlay))
    return record if known and there and not record.failed else None


def _masks_job(job: LearnJob, ending: str, key: str, view: StudentView) -> CohortJob:
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
        stored=StoredProbabilities(job.work / FINAL_NAME, key, view),
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
    keys: _Keys,
    skipped: Sequence[Skipped],
    notes: Sequence[str],
    seconds: dict[str, float],
    cohort: Cohort,
) -> LearnRecord:
    record = LearnRecord(
        key=keys.whole,
        job_key=keys.job,
        supports=[LabelledPair.of(image, labels, learned.job.out) for image, labels in learned.job.supports],
        labels={value: organ.name for value, organ in learned.loaded.called.items()},
        scans=[
            JudgedScan(query=one.path.name, name=one.name, organs=_organs(learned, one, final[one.name]))
            for one in learned.queries
        ],
        copies=[query.path.name for query in learned.copies],
        failed=[failure(query, error, anonymise=False) for query, error in cohort.failed],
        skipped=[SkippedFile(file=skip.path.name, reason=skip.reason) for skip in skipped],
        notes=list(notes),
        settings=asdict(learned.job.settings),
        weights_sha256=None if learned.weights is None else sha256_of(learned.weights),
        earlier=None if learned.loaded.earlier is None else learned.loaded.earlier.sha256,
        versions=runtime.versions(),
        seconds=seconds,
    )
    if (warning := quality_warning(record)) is not None:
        record.notes.append(warning)
    return record


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
