"""`report.html` of a learning: what became of each scan and organ by stage, and what to look at."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from psmnet.cohort.corrections import reason
from psmnet.cohort.learn_record import JudgedOrgan, JudgedScan, LearnRecord
from psmnet.cohort.summary import Cohort
from psmnet.errors import InputError
from psmnet.report import PageTable, StageCard, curve_plot, write_learning_page
from psmnet.system import atomic_path, counted

PAGE_NAME, METRICS_NAME = "report.html", "metrics.jsonl"
FIRST_TO_CORRECT = 10  # scans in the table
INTRO = (
    "Each scan is shown with its first masks, the vote of the labelled scans and the surest masks, and the final "
    "masks; the scans whose correction would help most come first. Nobody has checked these masks, and mistakes that "
    "the first masks make in every scan are learned, too.\n\n"
    "Confidence is the mean probability of a mask's voxels, from 0 to 1. Dice is the overlap of two masks, from 0 "
    "(none) to 1 (equal)."
)
LOSSES = {"cross_entropy": "cross-entropy", "dice": "Dice loss"}
STAGES: Mapping[str, Callable[[JudgedOrgan], float | None]] = {
    "first masks": lambda organ: organ.first,
    "vote": lambda organ: organ.vote,
    "network": lambda organ: organ.student,
    "final masks": lambda organ: organ.final,
}
PAIRS: Mapping[str, Callable[[JudgedOrgan], float | None]] = {
    "vote and network": lambda organ: organ.vote_student,
    "vote and registration": lambda organ: organ.vote_registration,
    "network and registration": lambda organ: organ.student_registration,
}


def gather_metrics(trainings: Sequence[Path], path: Path) -> None:
    """Write the losses of all rounds, one JSON line a step, to one file.

    Args:
        trainings: files of the rounds, in order.
        path: the file to write.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for number, training in enumerate(trainings, 1):
            for line in training.read_text(encoding="utf-8").splitlines():
                stream.write(json.dumps({"round": number, **json.loads(line)}) + "\n")


def write_learn_report(
    run: Path, record: LearnRecord, cohort: Cohort, pictures: Mapping[str, Path | None], metrics: Path | None
) -> None:
    """Write the page.

    Args:
        run: folder of the learning.
        record: of it.
        cohort: the final masks.
        pictures: by scan; None for one that could not be drawn.
        metrics: file of `gather_metrics`; None where nothing was trained.

    Raises:
        InputError: a picture can't be read, or the page can't be written.
    """
    flagged = {name: _flags(organs) for name, organs in cohort.flags.items()}
    volumes = {
        entry.name: ", ".join(f"{organ} {facts.volume_ml:.0f} ml" for organ, facts in entry.labels.items())
        for entry in cohort.entries
    }
    order = record.to_correct()
    tables = [
        *_organ_tables(record),
        PageTable(
            "Correct first",
            ("scan", "doubt", "organ", "why"),
            [(one.name, f"{one.doubt:.2f}", *_worst(one)) for one in order[:FIRST_TO_CORRECT]],
        ),
        *_unused(record),
    ]
    write_learning_page(
        run / PAGE_NAME,
        title=f"Learned from {counted(len(record.supports), 'labelled scan')} and "
        f"{counted(len(record.scans), 'unlabelled scan')}",
        intro=INTRO,
        notes=record.notes,
        organs=record.labels,
        tables=tables,
        cards=[
            StageCard(one.name, pictures.get(one.name), flagged.get(one.name, ()), volumes.get(one.name, "no mask"))
            for one in order
        ],
        plots=_plots(metrics),
        facts=[_learned_from(record), _time(record)],
    )


def _flags(organs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    return tuple(f"{organ}: {', '.join(words)}" for organ, words in organs.items() if words)


def _worst(scan: JudgedScan) -> tuple[str, str]:
    """The organ most in doubt, and why."""
    organ, judged = max(scan.organs.items(), key=lambda item: item[1].doubt)
    return organ, reason(judged)


def _organ_tables(record: LearnRecord) -> list[PageTable]:
    """Means over scans: confidence by stage, and agreement by pair."""
    found = {
        organ: [scan.organs[organ] for scan in record.scans if organ in scan.organs] for organ in record.labels.values()
    }

    def table(caption: str, figures: Mapping[str, Callable[[JudgedOrgan], float | None]]) -> PageTable:
        shown = {
            name: of for name, of in figures.items() if any(of(one) is not None for o in found.values() for one in o)
        }
        rows = [(organ, *(_mean(of(one) for one in each) for of in shown.values())) for organ, each in found.items()]
        return PageTable(caption, ("organ", *shown), rows)

    tables = [table("Confidence by stage, mean over scans", STAGES), table("Agreement (Dice), mean over scans", PAIRS)]
    return [one for one in tables if len(one.columns) > 1]


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fmean(known):.2f}" if known else "-"


def _unused(record: LearnRecord) -> list[PageTable]:
    rows = [(one.name, one.reason) for one in record.failed]
    rows += [(name, "a copy of a labelled scan") for name in record.copies]
    return [PageTable("Not used", ("scan", "why"), rows)] if rows else []


def _learned_from(record: LearnRecord) -> PageTable:
    rows = [("labelled scan", f"{Path(pair.image).name} with {Path(pair.labels).name}") for pair in record.supports]
    rows.append(("unlabelled scans", str(len(record.scans))))
    if record.earlier is not None:
        rows.append(("begun with", f"the network {record.earlier[:12]}"))
    return PageTable("Learned from", ("what", "which"), rows)


def _time(record: LearnRecord) -> PageTable:
    rows = [(stage, f"{seconds:.0f}") for stage, seconds in record.seconds.items()]
    rows.append(("all", f"{sum(record.seconds.values()):.0f}"))
    return PageTable("Time of the last run", ("stage", "seconds"), rows)


def _plots(metrics: Path | None) -> list[str]:
    """A plot of the losses for each round."""
    rounds: dict[int, dict[str, list[tuple[float, float]]]] = {}
    for line in [] if metrics is None else metrics.read_text(encoding="utf-8").splitlines():
        try:
            step = json.loads(line)
        except ValueError as error:
            raise InputError(f"{metrics} is damaged", "learn again") from error
        curves = rounds.setdefault(step["round"], {shown: [] for shown in LOSSES.values()})
        for name, shown in LOSSES.items():
            if name in step:
                curves[shown].append((step["step"], step[name]))
    several = len(rounds) > 1
    return [
        curve_plot(f"Losses of round {number}" if several else "Losses", "step", curves)
        for number, curves in rounds.items()
    ]
