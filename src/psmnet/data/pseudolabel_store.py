"""Pseudo-labels on disk: `superpix-MIDDLE_<id>.nii.gz`, the field's name, and a list of what we wrote.

Files that the list does not name come from the field's notebooks and carry their renumbering fault (one id lost, one
empty), so they are not used.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psmnet.data.pseudolabels import MIN_SIZE_PX, SCALE, SIGMA_PX, superpixel_volume
from psmnet.data.store import Case
from psmnet.files import read_json, write_json
from psmnet.io import read_labels, write_volume

LIST_NAME = "pseudolabels.json"
PARAMETERS = {"algorithm": "felzenszwalb", "scale": SCALE, "min_size_px": MIN_SIZE_PX, "sigma_px": SIGMA_PX}


def path_of(folder: Path, case_id: str) -> Path:
    """Where a case's superpixels lie."""
    return folder / f"superpix-MIDDLE_{case_id}.nii.gz"


def listed(folder: Path) -> dict[str, Any]:
    """Case id to what the list says of its file; empty without a list."""
    path = folder / LIST_NAME
    content = read_json(path) if path.exists() else {}
    cases = content.get("cases") if isinstance(content, dict) else None
    return cases if isinstance(cases, dict) else {}


def is_current(folder: Path, case: Case, threshold: float | None) -> bool:
    """Whether `folder` holds superpixels that we made from this very image."""
    entry = listed(folder).get(case.id)
    if not isinstance(entry, dict) or not path_of(folder, case.id).exists():
        return False
    asked = {"image_sha256": case.checksum(), "body_threshold": threshold, "parameters": PARAMETERS}
    return all(entry.get(key) == value for key, value in asked.items())


def write_superpixels(
    cases: Sequence[Case], folder: Path, threshold: float | None, report: Callable[[str], None] | None = None
) -> int:
    """Make the superpixels that are missing; returns how many cases were made.

    Args:
        cases: scans of a data set.
        folder: where to write.
        threshold: of the body mask; see `superpixel_volume`.
        report: told each case's id when it is done.
    """
    made = 0
    for case in cases:
        if not is_current(folder, case, threshold):
            image = case.image()
            ids = superpixel_volume(image.array_zyx, threshold)
            write_volume(image.with_array(ids.astype(np.uint16)), path_of(folder, case.id))
            entry = {
                "image_sha256": case.checksum(),
                "body_threshold": threshold,
                "parameters": PARAMETERS,
                "superpixels": int(sum(slice_ids.max() for slice_ids in ids)),
            }
            write_json(folder / LIST_NAME, {"cases": listed(folder) | {case.id: entry}})
            made += 1
        if report is not None:
            report(case.id)
    return made


def read_superpixels(folder: Path, case: Case) -> npt.NDArray[np.int32]:
    """A case's superpixels, (Z, Y, X)."""
    return read_labels(path_of(folder, case.id)).array_zyx.astype(np.int32)
