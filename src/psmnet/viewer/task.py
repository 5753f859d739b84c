"""What the process that segments is given for a job. It can be sent and received without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# A file in the outputs' folder: {"progress": 0..1, "stage": text}; of a learning also "stages" and "left_s".
PROGRESS = "progress"


@dataclass(frozen=True)
class LabelledPaths:
    """A labelled scan.

    Attributes:
        image, labels: its files, the labels on the image's grid.
        names: label value to name; empty where the file has no names.
    """

    image: Path
    labels: Path
    names: Mapping[int, str]


@dataclass(frozen=True)
class Task:
    """One scan to segment.

    Attributes:
        supports: labelled scans.
        organs: label values; None for all.
        query: the scan.
        reference: labels of the query to compare with, every value named.
        out: folder of the outputs.
    """

    supports: tuple[LabelledPaths, ...]
    organs: tuple[int, ...] | None
    query: Path
    reference: LabelledPaths | None
    out: Path


@dataclass(frozen=True)
class LearnTask:
    """Unlabelled scans to learn from, and the labelled ones.

    Attributes:
        supports: labelled scans.
        organs: label values; None for all.
        scans: id of each unlabelled scan to its file or folder.
        names: id of each of all these scans to the user's name for it.
        out: folder of the outputs.
        most_bytes: size that the folder may reach.
    """

    supports: tuple[LabelledPaths, ...]
    organs: tuple[int, ...] | None
    scans: Mapping[str, Path]
    names: Mapping[str, str]
    out: Path
    most_bytes: int
