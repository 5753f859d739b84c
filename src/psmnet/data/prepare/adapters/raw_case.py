"""What an adapter finds in a raw data set, and what it does with it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from psmnet.data.prepare import RawFiles
from psmnet.errors import InputError
from psmnet.io import read_labels, read_volume
from psmnet.volume import Volume, align_labels


@dataclass(frozen=True)
class RawCase:
    """The files of one case.

    Attributes:
        id: in the normalised layout.
        images, labels: names in the raw data; no labels for an unlabelled case.
        institution: where the scan was taken, if the data set tells.
    """

    id: str
    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    institution: str | None = None


class Adapter(Protocol):
    """A module that knows one raw layout."""

    def find(self, raw: RawFiles) -> list[RawCase]:
        """The cases that are there, sorted; none where the layout isn't.

        Cases that are not whole are listed too: reading them says what is missing.
        """

    def read(
        self, case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
    ) -> tuple[Volume, Volume | None]:
        """A case's image and labels on the image's grid, as stored.

        Args:
            case: one of those found.
            local: where its files lie on disk, by name.
            values: label values that the data set has; empty for any.
            notes: remarks for the user are appended to it.

        Raises:
            InputError: a file is missing or damaged, or what it holds can't be.
        """


def claim(found: dict[str, str], case_id: str, name: str) -> None:
    """Note a case's file.

    Raises:
        InputError: the case has one already, as where a download was unpacked twice.
    """
    if case_id in found:
        raise InputError(f"{found[case_id]} and {name} are of one case ({case_id})", "give the folder of one of them")
    found[case_id] = name


def read_nifti_pair(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """`Adapter.read` of cases that are one NIfTI scan and at most one NIfTI label map."""
    (image_name,) = case.images
    image = read_volume(local[image_name], notes=notes)
    if not case.labels:
        return image, None
    (labels_name,) = case.labels
    stored = read_labels(local[labels_name])
    require_known(stored, values, labels_name)
    labels = align_labels(image, stored, image_name=image_name, labels_name=labels_name)
    return image, labels


def require_known(labels: Volume, values: Collection[int], name: str) -> None:
    """Refuse label values that a data set doesn't have.

    Raises:
        InputError: there is one.
    """
    if not values:
        return
    for value in np.unique(labels.array_zyx).tolist():
        if value and value not in values:
            known = ", ".join(str(known) for known in sorted(values))
            raise InputError(f"{name} holds label {value}", f"only {known} are known: is it of another data set?")


def require_whole(case: RawCase, image: str, label: str) -> None:
    """Refuse a case of a labelled data set that lacks one of its two halves.

    Args:
        case: of images and labels.
        image, label: what to call what is missing.

    Raises:
        InputError: it does.
    """
    if not case.images:
        raise InputError(f"{case.labels[0]} has no image {image}", "unpack the download again")
    if not case.labels:
        raise InputError(f"{case.images[0]} has no label map {label}", "unpack the download again")
