"""Stage 1: each scan's first masks, as `segment` makes them, and its slices as the student sees them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from psmnet.errors import InputError
from psmnet.io import Query, checksum, digest, read_scan
from psmnet.learning.job import LabelledScans, LearnJob
from psmnet.learning.scan_store import ScanStore
from psmnet.learning.soft_labels import agreement, probabilities_of, shares_of
from psmnet.runtime import pick_device
from psmnet.segmentation import Registration, Segmenter
from psmnet.volume import content_digest

FIRST, IMAGES = "first", "images"


@dataclass(frozen=True)
class FirstMask:
    """What the first masks of a scan tell.

    Attributes:
        name: of the scan.
        key: checksum of the scan and of all that made its masks.
        content: digest of the scan's voxels, to find copies.
        slice_mm: distance of its slices.
        confidence: (K,), mean probability of each organ, 0..1; 0 for one that was not found.
        agreement: (K,), Dice of first masks and registered labels; None without registration.
    """

    name: str
    key: str
    content: str
    slice_mm: float
    confidence: tuple[float, ...]
    agreement: tuple[float, ...] | None


class FirstMasks:
    """Makes first masks of one scan after another, unless an earlier run made them from the same inputs.

    Args:
        job: with its key.
        loaded: its labelled scans, if they have been read already.
    """

    def __init__(self, job: LearnJob, loaded: LabelledScans | None = None) -> None:
        self.job = job
        self._read = loaded

    @cached_property
    def _loaded(self) -> LabelledScans:
        return self._read or self.job.load()

    @cached_property
    def _segmenter(self) -> Segmenter:
        if self.job.threads is not None:
            torch.set_num_threads(self.job.threads)
        segmenter = Segmenter(self._loaded.weights, pick_device(self.job.device))
        segmenter.set_support(self._loaded.supports.pairs, self._loaded.values)
        return segmenter

    @cached_property
    def _registration(self) -> Registration:
        registration = Registration()
        registration.set_support(self._loaded.supports.pairs, self._loaded.values)
        return registration

    @cached_property
    def _labelled_contents(self) -> frozenset[str]:
        return frozenset(content_digest(image) for image, _ in self._loaded.supports.pairs)

    def __call__(self, query: Query, report: Callable[[float], None] = lambda done: None) -> FirstMask:
        """First masks of a scan.

        Raises:
            CopyOfSupport: the scan is one of the labelled ones.
            PsmnetError: it can't be used.
        """
        store = ScanStore(self.job.work, query.name)
        key = digest(self.job.masks_key, checksum(query.path))
        stored = store.load(FIRST, key) if store.has_mapped(IMAGES) else None
        if stored is not None:
            agreed = stored.get("agreement")
            return FirstMask(
                query.name,
                key,
                str(stored["content"]),
                float(stored["slice_mm"]),
                tuple(stored["confidence"].tolist()),
                None if agreed is None else tuple(agreed.tolist()),
            )
        scan = read_scan(query.path, series=self.job.series).volume
        content = content_digest(scan)
        if content in self._labelled_contents:
            raise CopyOfSupport(f"{query.path.name} is a copy of a labelled scan", "leave it out of the cohort")
        view, values = self._loaded.view, self._loaded.values
        result = self._segmenter.examine(scan, probabilities=True, report=report)
        turn, _ = view.turn(scan)
        seen = turn.apply(scan)
        probabilities = probabilities_of(result, view, turn, scan, values)
        store.save_mapped(IMAGES, view.images(seen).numpy().astype(np.float16))
        arrays = {
            "content": np.array(content),
            "slice_mm": np.array(seen.spacing_mm[2]),
            "probabilities": probabilities,
            "labels": result.labels.array_zyx,
            "confidence": np.array([result.confidence[value] for value in values]),
        }
        if self.job.settings.registered:
            registered = shares_of(self._registration.segment(scan), view, turn, values)
            arrays |= {"registered": registered, "agreement": agreement(probabilities, registered)}
        store.save(FIRST, key, **arrays)
        agreed = arrays.get("agreement")
        return FirstMask(
            query.name,
            key,
            content,
            seen.spacing_mm[2],
            tuple(arrays["confidence"].tolist()),
            None if agreed is None else tuple(agreed.tolist()),
        )


class CopyOfSupport(InputError):
    """A scan of the cohort that is a labelled one."""
