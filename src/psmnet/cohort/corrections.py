"""Which masks of a learning a person should correct next, and why; and which have been corrected already."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psmnet.cohort.job import FORMATS, Outputs
from psmnet.cohort.learn_record import MASKS_NAME, RECORD_NAME, JudgedOrgan, JudgedScan, LearnRecord
from psmnet.cohort.records import ScanRecord
from psmnet.errors import InputError
from psmnet.io import checksum

UNSURE, OPPOSED = 0.85, 0.7  # a confidence and an agreement that are worth a word


@dataclass(frozen=True)
class NextScan:
    """A scan whose correction would help.

    Attributes:
        scan: what the learning found of it.
        organ: the one that is most in doubt.
        why: a few words on it.
        mask: file to correct.
    """

    scan: JudgedScan
    organ: str
    why: str
    mask: Path


@dataclass(frozen=True)
class CorrectNext:
    """Scans of a learning in the order in which their correction would help most.

    Attributes:
        scans: whose masks nobody has edited.
        edited: names of the others.
    """

    scans: tuple[NextScan, ...]
    edited: tuple[str, ...]


def correct_next(run: Path) -> CorrectNext:
    """Order the scans of a learning by how much a person's correction would help.

    Args:
        run: folder of the learning.

    Raises:
        InputError: there is no finished learning in it.
    """
    record = read_run(run)
    edited = edited_masks(run, record)
    scans = []
    for scan in record.to_correct():
        if scan.name not in edited:
            organ, judged = max(scan.organs.items(), key=lambda item: item[1].doubt)
            scans.append(NextScan(scan, organ, reason(judged), outputs_in(run, scan.name).mask))
    return CorrectNext(tuple(scans), tuple(edited))


def read_run(run: Path) -> LearnRecord:
    """The record of a finished learning.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = run / RECORD_NAME
    if not path.exists():
        what = "no file or folder" if not run.exists() else "no finished learning in"
        raise InputError(f"{what} {run}", "give the folder of a finished learning", code="no-run")
    return LearnRecord.read(path)


def outputs_in(run: Path, name: str) -> Outputs:
    """Files of a scan in a learning's folder; of the mask in the format that is there."""
    each = [Outputs(run / MASKS_NAME, name, ending) for ending in FORMATS]
    return next((outputs for outputs in each if outputs.mask.exists()), each[0])


def edited_masks(run: Path, record: LearnRecord) -> dict[str, Path]:
    """Masks that somebody has edited since they were written, by the scan's name."""
    pairs = ((scan.name, outputs_in(run, scan.name)) for scan in record.scans)
    return {name: outputs.mask for name, outputs in pairs if is_edited(outputs)}


def is_edited(outputs: Outputs) -> bool:
    """Whether there is a mask that is not as psmnet wrote it."""
    record = ScanRecord.find(outputs.record)
    return record is not None and outputs.mask.exists() and record.mask_sha256 not in (None, checksum(outputs.mask))


def reason(organ: JudgedOrgan) -> str:
    """Why an organ is in doubt, in a few words."""
    if organ.final == 0:
        return "hardly anything found"
    said = list(_reasons(organ))
    return "; ".join(said) if said else f"confidence {organ.final:.2f}"


def _reasons(organ: JudgedOrgan) -> Iterator[str]:
    """What is said of it, each with its figure."""
    vote, registration = organ.vote_student, organ.student_registration
    if vote is not None and registration is not None and max(vote, registration) < OPPOSED:
        yield f"network agrees with neither vote (Dice {vote:.2f}) nor registration ({registration:.2f})"
    else:
        pairs = (
            (vote, "vote and network"),
            (organ.vote_registration, "vote and registration"),
            (registration, "network and registration"),
        )
        known = [(agreed, who) for agreed, who in pairs if agreed is not None]
        if known and (lowest := min(known))[0] < OPPOSED:
            yield f"{lowest[1]} disagree (Dice {lowest[0]:.2f})"
    if organ.final < UNSURE:
        yield f"confidence {organ.final:.2f}"
