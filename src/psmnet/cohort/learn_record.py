"""`learn.json`: what a learning found of each scan and organ, for its report and for whom to correct next."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from psmnet.cohort.records import FailedScan, SkippedFile
from psmnet.io import checksum
from psmnet.system import StoredFile, StoredPart

RECORD_NAME, MASKS_NAME = "learn.json", "masks"


class JudgedOrgan(StoredPart):
    """One organ of a scan of the cohort, by stage.

    Attributes:
        first, vote, student, final: confidence of the stage's mask, its mean probability, 0..1; None for a stage that
            there was not.
        vote_student, vote_registration, student_registration: Dice of two stages' masks, 0..1; None where there was
            not both.
    """

    first: float
    vote: float
    student: float | None = None
    final: float
    vote_student: float | None = None
    vote_registration: float | None = None
    student_registration: float | None = None

    @property
    def trust(self) -> float:
        """An estimate of the final mask's Dice, 0..1.

        It is the network's agreement with the vote or the registered labels, whichever it agrees with more: these err
        in different ways, so that what it shares with one of them is mostly right. Without a network it is the
        confidence. [ours; figures in docs/decisions.md]
        """
        agreed = [dice for dice in (self.vote_student, self.student_registration) if dice is not None]
        return max(agreed, default=self.final)

    @property
    def doubt(self) -> float:
        """How much a person's correction would help, 0..1."""
        return 1 - self.trust


class JudgedScan(StoredPart):
    """A scan of the cohort; `query` is the name of its file or folder, and outputs' names begin with `name`."""

    query: str
    name: str
    organs: dict[str, JudgedOrgan]

    @property
    def doubt(self) -> float:
        """Mean doubt over its organs."""
        return sum(organ.doubt for organ in self.organs.values()) / len(self.organs)


class LabelledPair(StoredPart):
    """A labelled scan, by files.

    Attributes:
        image, labels: paths relative to the learning's folder, so that all can be moved together and no name of a
            user is written down; absolute where there is no relative one (on another drive).
        image_sha256, labels_sha256: checksums of what they held.
    """

    image: str
    labels: str
    image_sha256: str
    labels_sha256: str

    @staticmethod
    def of(image: Path, labels: Path, run: Path) -> "LabelledPair":
        """The record of a labelled scan."""
        return LabelledPair(
            image=_relative(image, run),
            labels=_relative(labels, run),
            image_sha256=checksum(image),
            labels_sha256=checksum(labels),
        )

    def paths(self, run: Path) -> tuple[Path, Path]:
        """Where image and labels are, if they have not been moved since."""
        return Path(os.path.normpath(run / self.image)), Path(os.path.normpath(run / self.labels))


def _relative(path: Path, run: Path) -> str:
    try:
        return Path(os.path.relpath(path.absolute(), run.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


class LearnRecord(StoredFile):
    """`learn.json`.

    Attributes:
        key: checksum of the labelled scans, the cohort and all settings.
        job_key: the same without the cohort.
        supports: the labelled scans.
        labels: label value to organ name.
        scans: of the cohort.
        copies: names of scans that were left out, since they are copies of labelled ones.
        failed, skipped: scans and files that could not be used.
        notes: remarks for the user, warnings among them.
        settings: of the learning.
        weights_sha256: of the learned network; None without training.
        earlier: SHA-256 of the learned network that this one began with; None if it began anew.
        versions: of psmnet and the libraries that its numbers depend on.
        seconds: by stage.
    """

    SCHEMA: ClassVar[str] = "psmnet-learn-1"
    REMEDY: ClassVar[str] = "learn again"

    key: str
    job_key: str
    supports: list[LabelledPair]
    labels: dict[int, str]
    scans: list[JudgedScan]
    copies: list[str] = Field(default_factory=list)
    failed: list[FailedScan] = Field(default_factory=list)
    skipped: list[SkippedFile] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    settings: dict[str, Any] = Field(default_factory=dict)
    weights_sha256: str | None = None
    earlier: str | None = None
    versions: dict[str, Any] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)

    def to_correct(self) -> Sequence[JudgedScan]:
        """Scans in the order in which a person's correction would help most."""
        return sorted(self.scans, key=lambda scan: (-scan.doubt, scan.name))
