"""The normalised layout: `image_<id>.nii.gz` and `label_<id>.nii.gz` in one folder, as in published work."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psmnet.catalog import DataSet
from psmnet.errors import InputError
from psmnet.io import read_labels, read_volume
from psmnet.system import sha256_of
from psmnet.volume import Volume, align_labels

_IMAGE = re.compile(r"image_(?P<id>.+)\.nii(\.gz)?$")


@dataclass(frozen=True)
class Case:
    """One scan of a data set.

    Attributes:
        id: as in the file's name.
        image_path: the normalised image.
        label_path: its label map; it need not exist.
    """

    id: str
    image_path: Path
    label_path: Path

    def image(self) -> Volume:
        """Read the image without the 257th row and column that published notebooks leave."""
        return without_257th(read_volume(self.image_path))

    def labels(self, image: Volume | None = None) -> Volume:
        """Read the label map, on the image's grid.

        Args:
            image: this case's image, if it has been read already.

        Raises:
            InputError: the label map is missing, or on another grid.
        """
        if not self.label_path.exists():
            raise InputError(f"case {self.id} has no label map {self.label_path}", "add it, or choose another case")
        labels = without_257th(read_labels(self.label_path))
        return align_labels(
            image or self.image(), labels, image_name=self.image_path.name, labels_name=self.label_path.name
        )

    def checksum(self) -> str:
        """SHA-256 of the image file; identifies the case in weights and results."""
        return sha256_of(self.image_path)


def find_cases(folder: Path) -> list[Case]:
    """The cases of a folder in the normalised layout, sorted by number, then others by name.

    Raises:
        InputError: the folder is missing, has no image, or has two images of one case.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "give the folder that holds image_<id>.nii.gz files")
    cases: dict[str, Case] = {}
    for path in folder.iterdir():
        if match := _IMAGE.match(path.name):
            if match["id"] in cases:
                raise InputError(f"two images of case {match['id']!r} in {folder}", "keep one, .nii or .nii.gz")
            stem = path.with_name(f"label_{match['id']}")
            label = next((p for s in (".nii.gz", ".nii") if (p := Path(f"{stem}{s}")).exists()), Path(f"{stem}.nii.gz"))
            cases[match["id"]] = Case(match["id"], path, label)
    if not cases:
        raise InputError(f"no image_<id>.nii.gz in {folder}", "give a folder in the normalised layout")
    return sorted(cases.values(), key=lambda case: case_order(case.id))


def unlabelled(facts: DataSet, cases: Iterable[Case]) -> set[str]:
    """Ids of own scans without a label map. In public data sets every case has one, so a missing one is an error."""
    return set() if facts.tested else {case.id for case in cases if not case.label_path.exists()}


def choose(cases: Iterable[Case], ids: Iterable[str]) -> list[Case]:
    """The cases with these ids, in the order of the ids.

    Raises:
        InputError: there is no case with one of the ids.
    """
    by_id = {case.id: case for case in cases}
    wanted = list(ids)
    for case_id in wanted:
        if case_id not in by_id:
            raise InputError(f"no case {case_id!r}", f"give one of {', '.join(by_id)}")
    return [by_id[case_id] for case_id in wanted]


def case_order(case_id: str) -> tuple[int, int, str]:
    """Sort key of an id: numbers first, then other ids by name."""
    return (0, int(case_id), "") if case_id.isdecimal() else (1, 0, case_id)


def without_257th(volume: Volume) -> Volume:
    """Cut 257 x 257 slices to their first 256 rows and columns, as published loaders do."""
    if volume.array_zyx.shape[1:] != (257, 257):
        return volume
    array = np.ascontiguousarray(volume.array_zyx[:, :256, :256])
    return Volume(array, volume.spacing_mm, volume.origin_mm, volume.direction)
