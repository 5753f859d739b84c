"""Labelled scans of a job, read with the names that their label sets have on the server."""

from collections.abc import Sequence

from psmnet.io import OrganName, read_labels, read_scan
from psmnet.segmentation import Labelled
from psmnet.viewer.task import LabelledPaths


def read_paths(supports: Sequence[LabelledPaths]) -> list[Labelled]:
    """Read labelled scans; their label values are not yet consistent.

    Raises:
        PsmnetError: a file can't be used.
    """
    found = []
    for support in supports:
        scan = read_scan(support.image)
        names = {value: OrganName(name) for value, name in support.names.items()}
        found.append(Labelled(scan.volume, read_labels(support.labels), names, scan.modality))
    return found
