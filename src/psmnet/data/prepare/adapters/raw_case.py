"""`RawCase` and `Adapter`: what every module that reads a raw layout offers, and helpers that they share."""

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
        institution: where the scan was taken, if known.
    """

    id: str
    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    institution: str | None = None


class Adapter(Protocol):
    """A module that knows one raw layout."""

    def find(self, raw: RawFiles) -> list[RawCase]:
        """The cases, sorted; empty if the files have another layout.

        Incomplete cases are listed too; reading one reports what is missing.
        """

    def read(
        self, case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
    ) -> tuple[Volume, Volume | None]:
        """A case's image and labels on the image's grid, as stored.

        Args:
            case: one of those found.
            local: name to path on disk of each of its files.
            values: label values that the data set has; empty for any.
            notes: remarks for the user are appended to it.

        Raises:
            InputError: a file is missing or damaged, or what it holds can't be.
        """


def claim(found: dict[str, str], case_id: str, name: str) -> None:
    """Add a case's file to `found`.

    Raises:
        InputError: the case has one already, for example because a download was unpacked twice.
    """
    if case_id in found:
        raise InputError(f"{found[case_id]} and {name} are of one case ({case_id})", "give the folder of one of them")
    found[case_id] = name


def read_nifti_pair(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """`Adapter.read` for cases of one NIfTI scan and at most one NIfTI label map."""
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
    """Check label values.

    Raises:
        InputError: a value that the data set doesn't have.
    """
    if not values:
        return
    for value in np.unique(labels.array_zyx).tolist():
        if value and value not in values:
            known = ", ".join(str(known) for known in sorted(values))
            raise InputError(f"{name} holds label {value}", f"only {known} are known: is it of another data set?")


def require_whole(case: RawCase, image: str, label: str) -> None:
    """Check that a case of a labelled data set has image and labels.

    Args:
        case: the case.
        image, label: names of the missing files, for the error.

    Raises:
        InputError: one of them is missing.
    """
    if not case.images:
        raise InputError(f"{case.labels[0]} has no image {image}", "unpack the download again")
    if not case.labels:
        raise InputError(f"{case.images[0]} has no label map {label}", "unpack the download again")
