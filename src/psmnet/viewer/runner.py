"""A job's work, in a process of its own that keeps the network and the labelled scans of its latest jobs."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psmnet.cohort import CohortJob, Loaded, Outputs, Worker, quality
from psmnet.evaluation import score
from psmnet.io import OrganName, Query, read_labels
from psmnet.learning import LearnSettings
from psmnet.report import css_colour
from psmnet.segmentation import agreed_on, load_comparing, wanted_values
from psmnet.system import read_json, write_json
from psmnet.viewer.labelled import read_paths
from psmnet.viewer.learn_runner import run_learning
from psmnet.viewer.task import PROGRESS, LabelledPaths, LearnTask, Task

KEPT = 2  # sets of labelled scans whose features are kept
QUERY = "query"  # what outputs' names begin with
SAVED = frozenset({"uncertainty", "matches"})


@dataclass(frozen=True)
class Engine:
    """How jobs are run.

    Attributes:
        weights: a run, a file, or `bundled`.
        device: by name.
        threads: of torch; None for all cores.
        learning: how a network is learned from all scans.
    """

    weights: str = "bundled"
    device: str = "auto"
    threads: int | None = None
    learning: LearnSettings = field(default_factory=LearnSettings)

    def runner(self) -> "Runner":
        """The work of the process, for `Isolated`."""
        return Runner(self)


class Runner:
    """Runs one task after another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._workers: OrderedDict[object, Worker] = OrderedDict()

    def __call__(self, task: Task | LearnTask) -> dict[str, Any]:
        """The result as the API gives it.

        Raises:
            PsmnetError: a file can't be used, or an output not written.
        """
        if isinstance(task, LearnTask):
            self._workers.clear()  # learning needs the memory
            engine = self._engine
            return run_learning(
                task, engine.learning, weights=engine.weights, device=engine.device, threads=engine.threads
            )
        task.out.mkdir(mode=0o700, exist_ok=True)
        report = _progress_writer(task.out / PROGRESS)
        report(0.0, "reading")
        worker = self._worker(task)
        report(0.1, "comparing slices")
        entry = worker(Query(task.query, QUERY), lambda done: report(0.1 + 0.8 * done, "comparing slices")).entry
        report(0.9, "measuring")
        outputs = worker.job.outputs(QUERY)
        values = {name: organ.value for name, organ in entry.labels.items()}
        metrics, notes = compared(outputs.mask, task.reference, values) if task.reference else ({}, [])
        flags = quality.flags([entry])[QUERY]
        organs = [
            {
                "value": organ.value,
                "name": name,
                "colour": css_colour(organ.value),
                "volume_ml": organ.volume_ml,
                "confidence": organ.confidence,
                "flags": flags[name],
                "metrics": metrics.get(organ.value),
            }
            for name, organ in entry.labels.items()
        ]
        files = [name for name, path in files_of(task.out).items() if path.exists()]
        return {"organs": organs, "notes": [*entry.notes, *notes], "seconds": entry.seconds, "files": files}

    def _worker(self, task: Task) -> Worker:
        """A worker for these labelled scans, an earlier one if it is still there."""
        key = (tuple((s.image, s.labels) for s in task.supports), task.organs)
        if key not in self._workers:
            self._workers[key] = self._new_worker(task)
        self._workers.move_to_end(key)
        while len(self._workers) > KEPT:
            self._workers.popitem(last=False)
        worker = self._workers[key]
        worker.job = replace(worker.job, out=task.out)
        return worker

    def _new_worker(self, task: Task) -> Worker:
        job = CohortJob(
            supports=tuple((support.image, support.labels) for support in task.supports),
            out=task.out,
            labels=task.organs,
            weights=self._engine.weights,
            device=self._engine.device,
            threads=self._engine.threads,
            save=SAVED,
            overwrite=True,
        )
        supports = agreed_on(read_paths(task.supports))
        values = tuple(wanted_values(supports.pairs, task.organs))
        loaded = Loaded(supports, values, load_comparing(None, self._engine.weights), ())
        return Worker(job.with_key(loaded), loaded)


def files_of(out: Path) -> dict[str, Path]:
    """A job's files by their names in the API, whether they exist or not."""
    outputs = Outputs(out, QUERY, "nii.gz")
    return {
        "mask.nii.gz": outputs.mask,
        "mask.dcm": outputs.dicom,
        "uncertainty.nii.gz": outputs.uncertainty,
        "overlay.png": outputs.overlay,
    }


def matches_file(out: Path) -> Path:
    """The file of a job's matches."""
    return Outputs(out, QUERY, "nii.gz").matches


def matches_of(out: Path, supports: list[str]) -> dict[str, Any]:
    """A job's slice matches, with ids of label sets in place of numbers of supports."""
    found = read_json(matches_file(out))
    for slices in found.values():
        for one in slices:
            for served in one["served"]:
                served["labels"] = supports[served.pop("support")]
    return {"organs": found}


def compared(
    mask: Path, reference: LabelledPaths, values: Mapping[str, int]
) -> tuple[dict[int, dict[str, float | None]], list[str]]:
    """Metrics of each label value of the mask whose organ the reference has by name, and a note on the others.

    Label values mean nothing from one file to the next: organs are matched by name, as those of supports are.
    """
    found, truth = read_labels(mask), read_labels(reference.labels)
    named = {OrganName(name).key: value for value, name in reference.names.items()}
    metrics, missing = {}, []
    for name, value in values.items():
        expected = named.get(OrganName(name).key)
        if expected is None:
            missing.append(name)
            continue
        metrics[value] = dict(score(found.array_zyx == value, truth.array_zyx == expected, found.spacing_mm).values)
    notes = [f"not measured, because the reference has no organ of this name: {', '.join(missing)}"] if missing else []
    return metrics, notes


def _progress_writer(path: Path) -> Callable[[float, str], None]:
    """Writes the progress to a file that the server reads."""

    def report(share: float, stage: str) -> None:
        write_json(path, {"progress": round(share, 3), "stage": stage})

    return report
