"""What the process that segments is given for a job. It can be sent and received without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRESS = "progress"  # a file in the outputs' folder: {"progress": 0..1, "stage": text}


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
