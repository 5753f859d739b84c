"""A worker segments one scan after another and records each, so that no scan is segmented twice."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from psmnet import runtime
from psmnet.cohort.job import CohortJob, Loaded, Outputs
from psmnet.cohort.records import FailedScan, ScanRecord, SegmentedOrgan, SegmentedScan
from psmnet.errors import InputError, PsmnetError
from psmnet.io import Query, Scan, checksum, read_labels, read_scan, without_folder, write_dicom_seg, write_volume
from psmnet.report import draw_overlay
from psmnet.segmentation import (
    LearnedSegmenter,
    LearnedWeights,
    Segmentation,
    Segmenter,
    WholeScanSegmenter,
    decided_from,
    segmenter_of,
)
from psmnet.system import write_json
from psmnet.volume import Array, Volume, align_labels, slice_first, values_at_ends

EDITED = "the mask was edited: volumes are those of the edited mask, confidence is that of the original"
UID = re.compile(r"\b\d+(?:\.\d+){5,}\b")


@dataclass(frozen=True)
class Done:
    """A query that was segmented.

    Attributes:
        entry: its entry in the report.
        kept: whether an earlier run segmented it.
    """

    entry: SegmentedScan
    kept: bool = False


class Worker:
    """Segments scans as one job says; supports are read and encoded when the first scan needs them.

    Args:
        job: with its key.
        loaded: its supports and method, if they have been read already.
    """

    def __init__(self, job: CohortJob, loaded: Loaded | None = None) -> None:
        self.job = job
        self._read = loaded

    @cached_property
    def _loaded(self) -> Loaded:
        return self._read or self.job.load()

    @cached_property
    def _segmenter(self) -> WholeScanSegmenter | LearnedSegmenter:
        if self.job.threads is not None:
            torch.set_num_threads(self.job.threads)
        device, method = runtime.pick_device(self.job.device), self._loaded.method
        if isinstance(method, LearnedWeights):
            return LearnedSegmenter(method, device, self._loaded.values)
        segmenter = segmenter_of(method, device, self.job.precision)
        segmenter.set_support(self._loaded.supports.pairs, self._loaded.values)
        return segmenter

    @cached_property
    def _running_on(self) -> set[int]:
        """Label values that reach an end of a support, too, as the aorta does."""
        if isinstance(self._loaded.method, LearnedWeights):
            return set(self._loaded.method.running_on)
        return {
            value
            for image, labels in self._loaded.supports.pairs
            for value in values_at_ends(slice_first(image).apply_array(labels.array_zyx))
        }

    def __call__(self, query: Query, report: Callable[[float], None] = lambda done: None) -> Done:
        """Segment a scan, unless it was segmented from the same inputs with the same settings.

        Args:
            query: the scan.
            report: called with the finished share of the segmentation, 0..1, by methods that know it.

        Raises:
            PsmnetError: the scan or a support can't be used, a mask of another scan exists, or an output can't be
                written.
        """
        outputs = self.job.outputs(query.name)
        began, scanned = time.perf_counter(), checksum(query.path)
        record = ScanRecord(settings=self.job.key, scan_sha256=scanned)
        earlier = ScanRecord.find(outputs.record)
        if earlier is not None and (earlier.settings, earlier.scan_sha256) != (self.job.key, scanned):
            earlier = None
        if earlier is not None and earlier.entry is not None and outputs.mask.exists():
            found = checksum(outputs.mask)
            known = {earlier.mask_sha256} if self.job.overwrite else {earlier.mask_sha256, earlier.edited_sha256}
            if outputs.overlay.exists() and found in known:
                return Done(earlier.entry, kept=True)
            if found != earlier.mask_sha256 and not self.job.overwrite:
                earlier.edited_sha256 = found
                return self._edited(query, outputs, earlier, earlier.entry)
        if earlier is None and not self.job.overwrite:
            refuse_foreign(outputs)
        notes: list[str] = []
        scan = read_scan(query.path, series=self.job.series, notes=notes)
        others = self._loaded.supports.modalities
        if scan.modality and others and not others & {scan.modality, ""}:
            source = f"{' and '.join(sorted(others))} support"
            if isinstance(self._loaded.method, LearnedWeights):
                source = f"the network learned from {' and '.join(sorted(others))}"
            notes.append(f"warning: {source}, but the query is {scan.modality}; results are probably wrong")
        result = self._examine(query, scan.volume, report)
        record.write(
            outputs.record
        )  # without an entry: if the run ends here, the next one knows that these files are its own
        try:
            entry = self._write(query, outputs, scan, result, notes)
            entry.seconds = round(time.perf_counter() - began, 3)
            record.mask_sha256, record.entry = checksum(outputs.mask), entry
            record.write(outputs.record)
        except PsmnetError:
            outputs.remove()  # the disk is full, for example: without a record, the mask would look like a foreign file
            raise
        return Done(entry)

    def _edited(self, query: Query, outputs: Outputs, record: ScanRecord, entry: SegmentedScan) -> Done:
        """Keep a mask that a person has edited, and report it as it is now."""
        scan = read_scan(query.path, series=self.job.series).volume
        labels = align_labels(scan, read_labels(outputs.mask), image_name=query.name, labels_name=outputs.mask.name)
        turn = slice_first(scan)
        seen = turn.apply_array(labels.array_zyx)
        called = {value: organ.name for value, organ in self._loaded.called.items()}
        draw_overlay(turn.apply(scan), seen, called, outputs.overlay, title=query.name)
        ends, voxel_ml = values_at_ends(seen) - self._running_on, float(np.prod(labels.spacing_mm)) / 1000
        for organ in entry.labels.values():
            organ.volume_ml = round(float((seen == organ.value).sum()) * voxel_ml, 3)
            organ.cut_off = organ.value in ends
        if EDITED not in entry.notes:
            entry.notes.append(EDITED)
        record.write(outputs.record)
        return Done(entry, kept=True)

    def _examine(self, query: Query, scan: Volume, report: Callable[[float], None]) -> Segmentation:
        probabilities = "probabilities" in self.job.save
        if self.job.stored is not None:
            stored = _probabilities(self.job.stored.folder / f"{query.name}.npy")
            view, parts = self._loaded.student
            return decided_from(scan, self.job.stored.view or view, stored, parts, probabilities=probabilities)
        if isinstance(self._segmenter, LearnedSegmenter | Segmenter):
            return self._segmenter.examine(scan, probabilities=probabilities, report=report)
        return self._segmenter.examine(scan)

    def _write(
        self, query: Query, outputs: Outputs, scan: Scan, result: Segmentation, notes: list[str]
    ) -> SegmentedScan:
        write_volume(result.labels, outputs.mask)
        if scan.slices:
            notes += self._write_dicom(scan, result.labels, outputs.dicom)
        if "probabilities" in self.job.save:
            for value in result.probabilities:
                write_volume(result.probability(value), outputs.probability(value))
        if "uncertainty" in self.job.save:
            write_volume(result.uncertainty(), outputs.uncertainty)
        if "matches" in self.job.save:
            found = {str(value): [match.as_json() for match in matches] for value, matches in result.matches.items()}
            write_json(outputs.matches, found)
        called = {value: organ.name for value, organ in self._loaded.called.items()}
        seen = result.view.apply_array(result.labels.array_zyx)
        draw_overlay(result.view.apply(scan.volume), seen, called, outputs.overlay, title=query.name)
        volumes, ends = result.volumes_ml(), values_at_ends(seen) - self._running_on
        return SegmentedScan(
            query=query.name if self.job.anonymise else query.path.name,
            name=query.name,
            mask=outputs.mask.name,
            overlay=outputs.overlay.name,
            confidence=round(min(result.confidence.values()), 4),
            labels={
                called[value]: SegmentedOrgan(
                    value=value,
                    volume_ml=round(volumes[value], 3),
                    confidence=round(confidence, 4),
                    cut_off=value in ends,
                )
                for value, confidence in result.confidence.items()
            },
            notes=[discreet(note, query, self.job.anonymise) for note in (*notes, *result.notes)],
        )

    def _write_dicom(self, scan: Scan, labels: Volume, target: Path) -> list[str]:
        """Write a mask as DICOM Segmentation as well; returns a remark if that is not possible."""
        target.unlink(missing_ok=True)  # one of an earlier mask would be wrong
        if self.job.anonymise:
            return ["no DICOM Segmentation was written: it would contain the patient's identity"]
        try:
            write_dicom_seg(labels, scan.slices, self._loaded.called, target)
        except InputError as error:
            return [f"no DICOM Segmentation was written: {error}"]
        return []


def refuse_foreign(outputs: Outputs) -> None:
    """Raise InputError if a mask exists that this job did not make."""
    for path in (outputs.mask, outputs.dicom):
        if path.exists():
            raise InputError(
                f"{path} already exists, from another scan or other settings",
                "allow it to be overwritten, or choose another folder",
                code="exists-other",
            )


def require_own(job: CohortJob, queries: Sequence[Query]) -> None:
    """Refuse, before long work, a folder with masks made with other settings.

    Raises:
        InputError: there is one.
    """
    if job.overwrite:
        return
    for query in queries:
        outputs = job.outputs(query.name)
        record = ScanRecord.find(outputs.record)
        if record is None or record.settings != job.key:
            refuse_foreign(outputs)


def discreet(text: str, query: Query, anonymise: bool) -> str:
    """A line about a query without its folder and, if `anonymise`, without the names of its files."""
    text = without_folder(text, query.path)
    if not anonymise:
        return text
    text = UID.sub("(UID)", text)  # it identifies the patient in an archive
    inside = sorted(query.path.rglob("*"), key=lambda p: -len(p.name)) if query.path.is_dir() else []
    for path in inside:
        text = text.replace(path.name, "a slice")
    return text.replace(query.path.name, query.name)


def failure(query: Query, error: PsmnetError, anonymise: bool, remedies: Mapping[str, str] | None = None) -> FailedScan:
    """The report's entry for a query that failed, with the remedy listed under the error's code."""
    name = query.name if anonymise else query.path.name
    reason = discreet(error.worded(remedies or {}), query, anonymise)
    return FailedScan(query=name, name=query.name, reason=reason)


def _probabilities(path: Path) -> Array:
    try:
        found: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read ({error})", "learn again") from error
    return found
