"""Reading labels from one file: a label map, a .seg.nrrd of 3D Slicer or a DICOM Segmentation."""

from pathlib import Path

import numpy as np

from psmnet.errors import InputError
from psmnet.io.dicom_seg import is_dicom_seg, read_dicom_seg
from psmnet.io.files import read_labels
from psmnet.io.segments import Segments, read_segments

MANY_LABELS = 256  # no label map of organs has as many values; an image has more


def read_label_file(path: Path) -> Segments:
    """Read labels, with their names if the file has any (plain label maps have none).

    Raises:
        InputError: it can't be read, or holds no labels.
    """
    if is_dicom_seg(path):
        return read_dicom_seg(path)
    if (segments := read_segments(path)) is not None:
        return segments
    notes: list[str] = []
    labels = read_labels(path, notes=notes)
    if (count := len(np.unique(labels.array_zyx))) > MANY_LABELS:
        raise InputError(
            f"{path} has {count} values: it looks like an image, not a label map",
            "give the label map of the scan",
            code="image-as-labels",
        )
    return Segments(labels, {}, tuple(notes))
