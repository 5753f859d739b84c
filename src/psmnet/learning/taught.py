"""Stage 3's material: labels of the labelled scans and pseudo-labels of the cohort, and which of them are used."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from psmnet.learning.first_masks import IMAGES
from psmnet.learning.job import LabelledScans
from psmnet.learning.opinions import Opinions
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import shares_of, winners
from psmnet.learning.targets import IGNORED, Taught, labels_of_probabilities
from psmnet.volume import Mask

LABELS = "labels"


def open_organs(confidence: Mapping[str, npt.NDArray[np.float64]], share: float) -> dict[str, Mask]:
    """By scan, the organs (K,) whose pseudo-labels are not used: all but the most confident scans' of each organ.

    Args:
        confidence: by scan, of each organ; 0 for one that was not found, which is never used.
        share: of the scans whose pseudo-labels of an organ are used, rounded up.
    """
    names = sorted(confidence)
    table = np.array([confidence[name] for name in names])
    ranks = (-table).argsort(axis=0, kind="stable").argsort(axis=0)
    opened = (ranks >= math.ceil(share * len(names))) | (table == 0)
    return dict(zip(names, opened, strict=True))


def taught_by_labels(loaded: LabelledScans) -> list[Taught]:
    """Labelled scans; organs that one lacks are open there."""
    found = []
    for image, labels in loaded.supports.pairs:
        turn, _ = loaded.view.turn(image)
        seen = turn.apply(image)
        shares = shares_of(labels, loaded.view, turn, loaded.values)
        classes = winners(shares).astype(np.uint8)
        lacking = np.array([not (labels.array_zyx == value).any() for value in loaded.values])
        neighbours = loaded.view.neighbours(len(classes), seen.spacing_mm[2])
        found.append(Taught(loaded.view.images(seen).numpy(), classes, neighbours, lacking))
    return found


def taught_by_cohort(
    loaded: LabelledScans, opinions: Opinions, opened: Mapping[str, Mask], *, agreed_only: bool
) -> list[Taught]:
    """Scans of the cohort with pseudo-labels; images and labels are read from their files when slices are drawn.

    Args:
        loaded: the labelled scans.
        opinions: whose probabilities become labels.
        opened: by scan, organs whose labels are not used.
        agreed_only: ignore pixels where vote and registration differ.
    """
    found = []
    for name in sorted(opinions.votes):
        store, slice_mm = ScanStore(opinions.work, name), opinions.first[name].slice_mm
        labels = labels_of_probabilities(opinions.probabilities(name), opened[name], slice_mm, slice_mm)
        if agreed_only:
            labels[~opinions.agreed(name, opened[name])] = IGNORED
        store.save_mapped(LABELS, labels)
        images = store.mapped(IMAGES)
        neighbours = loaded.view.neighbours(len(images), slice_mm)
        found.append(Taught(images, store.mapped(LABELS), neighbours, opened[name]))
    return found
