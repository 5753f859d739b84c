"""Checks uploads and stores them as jobs and the page need them, in a process of its own.

No file from outside is read in the server's own process: a file that hangs or crashes its reader ends only this one.
"""

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from psmnet.catalog import dataset
from psmnet.data.phantom import draw_patient
from psmnet.errors import InputError
from psmnet.io import (
    OrganName,
    has_nifti_suffix,
    has_scan_suffix,
    narrowed,
    read_header,
    read_scan,
    stem,
    unnamed,
    write_volume,
)
from psmnet.segmentation import is_ct, read_labelled, require_contrast, wanted_values
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import TooLarge
from psmnet.viewer.unzip import unzip
from psmnet.volume import Volume, simpleitk

SCAN_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".zip")
LABEL_SUFFIXES = (*SCAN_SUFFIXES, ".dcm")
VIEW_NAME, LABELS_NAME = "view.nii", "labels.nii.gz"
SLICES, SOURCE = "slices", "source"  # of a scan
MASKS, GIVEN = "masks", "given"  # of labels
SMALLEST_MM, LARGEST_MM = 0.01, 100.0
LONGEST_NAME = 120
LARGEST_VALUE = 65535  # of a label: the page draws with a table of them
LEAST_ROOM = 2**31  # bytes of address space for Python and its libraries, beside what is read

Facts = dict[str, Any]
Ask = Callable[[], Facts]


def setup(limits: Limits) -> Callable[[Ask], Facts]:
    """The work of the process, with limited memory where the system can limit it."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has none
        import resource

        room = LEAST_ROOM + 4 * limits.decoded_bytes
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    return _answer


def _answer(ask: Ask) -> Facts:
    return ask()


def suffix_of(name: str, known: tuple[str, ...]) -> str:
    """The format of an upload, by its name.

    Raises:
        InputError: the format is unknown.
    """
    found = next((suffix for suffix in known if name.lower().endswith(suffix)), None)
    if found is None:
        raise InputError(f"{name!r} has an unknown format", f"send {', '.join(known)}")
    return found


@dataclass(frozen=True)
class TakeScan:
    """Check an uploaded scan; writes its source and the file for the page into its folder.

    Attributes:
        received: the upload, which is moved or deleted.
        name: the user's name for it.
        folder: of the scan.
        limits: of what it unpacks to.
    """

    received: Path
    name: str
    folder: Path
    limits: Limits

    def __call__(self) -> Facts:
        """Facts of the scan; `source` is the path of the scan in its folder."""
        source = self._laid_out(suffix_of(self.name, SCAN_SUFFIXES))
        require_decodable(source, self.limits)
        notes: list[str] = []
        scan = read_scan(source, notes=notes)
        require_contrast(scan.volume, "the scan")
        _require_sane(scan.volume)
        _write_view(scan.volume, self.folder)
        return _facts(scan.volume, self.name, source, scan.modality, notes)

    def _laid_out(self, suffix: str) -> Path:
        """Path of the scan; of a zip, the folder of its slices or the only scan in it."""
        if suffix != ".zip":
            return self.received.rename(self.folder / f"{SOURCE}{suffix}")
        found = unzip(self.received, self.folder / SLICES, self.limits.zip_files, self.limits.decoded_bytes)
        self.received.unlink()
        if len(found) == 1 and found[0][0].suffix:
            ((only, _),) = found
            return only
        return self.folder / SLICES


@dataclass(frozen=True)
class TakeLabels:
    """Check uploaded labels and write them on their scan's grid.

    Attributes:
        received: the upload, which is moved or deleted.
        name: the user's name for it.
        scan: the source of the scan.
        folder: of the label set.
        limits: of what it unpacks to.
        values: label value of voxels 1, 2, ... of a mask that was drawn in the page; None for other files.
        names: of those values.
    """

    received: Path
    name: str
    scan: Path
    folder: Path
    limits: Limits
    values: tuple[int, ...] | None = None
    names: Mapping[int, str] | None = None

    def __call__(self) -> Facts:
        """Facts of the label set."""
        source, called = self._laid_out(suffix_of(self.name, LABEL_SUFFIXES))
        require_decodable(source, self.limits)
        notes: list[str] = []
        found = read_labelled(self.scan, source, (), False, notes)
        labels = found.labels
        names = distinct_names({v: called.get(o.name, printable(o.name)) for v, o in found.names.items()})
        if self.values is not None:
            labels, names = _valued(labels, self.values), dict(self.names or {})
        present = wanted_values([(found.image, labels)], None)
        if present[-1] > LARGEST_VALUE:
            raise InputError(f"label value {present[-1]} is above {LARGEST_VALUE}", "renumber the labels")
        notes += [f"{names[value]} has no voxel of its own" for value in names.keys() - set(present)]
        write_volume(labels, self.folder / LABELS_NAME)
        shutil.rmtree(source) if source.is_dir() else source.unlink()
        organs = [{"value": v, "name": names.get(v, unnamed(v).name)} for v in present]
        return {"name": self.name, "named": bool(names), "organs": organs, "notes": notes}

    def _laid_out(self, suffix: str) -> tuple[Path, dict[str, str]]:
        """Path of the labels, and the names of organs by file name."""
        if suffix != ".zip":
            ending = ".seg.nrrd" if self.name.lower().endswith(".seg.nrrd") else suffix
            return self.received.rename(self.folder / f"{GIVEN}{ending}"), {}
        found = unzip(self.received, self.folder / MASKS, self.limits.zip_files, self.limits.decoded_bytes)
        self.received.unlink()
        if len(found) == 1:
            return found[0][0], {}
        return self.folder / MASKS, {stem(path): printable(stem(inside)) for path, inside in found}


@dataclass(frozen=True)
class DrawSample:
    """Draw a synthetic patient.

    Attributes:
        number: the seed.
        name: of the scan.
        folder, labels_folder: of the scan and of its label set.
    """

    number: int
    name: str
    folder: Path
    labels_folder: Path

    def __call__(self) -> Facts:
        """Facts of the scan, with those of its labels."""
        image, labels = draw_patient(self.number)
        source = self.folder / f"{SOURCE}.nii.gz"
        write_volume(image, source)
        write_volume(labels, self.labels_folder / LABELS_NAME)
        _write_view(image, self.folder)
        organs = [{"value": value, "name": name} for value, name in dataset("phantom").names().items()]
        own = {"name": "as drawn", "named": True, "organs": organs}
        return _facts(image, self.name, source, "", []) | {"labels": own}


def require_decodable(source: Path, limits: Limits) -> None:
    """Refuse what decodes to more bytes than are allowed, by what the headers claim: readers hold files to that.

    Args:
        source: a scan or label map, or a folder of them; DICOM slices are bounded by their number and the memory.
        limits: `decoded_bytes` of all files together.

    Raises:
        TooLarge: they decode to more.
    """
    left = limits.decoded_bytes
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        if has_scan_suffix(path):
            left -= _claimed_bytes(path)
        if left < 0:
            what = f"the file unpacks to more than {limits.decoded_bytes >> 20} MiB"
            raise TooLarge(what, "crop the scan, or store it with fewer bytes per voxel")


def _claimed_bytes(path: Path) -> int:
    """Bytes of the voxels that a header claims; 0 where none can be read, which the file's reader will report."""
    sitk = simpleitk()
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        voxel = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    except RuntimeError:  # NIfTI-2, or what no library reads
        if not has_nifti_suffix(path):
            return 0
        header = read_header(path)
        return math.prod(header.grid.size_xyz) * header.dtype.itemsize
    return int(voxel.GetSizeOfPixelComponent() * voxel.GetNumberOfComponentsPerPixel() * math.prod(reader.GetSize()))


def printable(name: str) -> str:
    """A name to show: without folders and unprintable characters, shortened in the middle if long."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = "".join(c for c in last if c.isprintable()).strip() or "unnamed"
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 40]}…{shown[-39:]}"


def distinct_names(names: Mapping[int, str]) -> dict[int, str]:
    """The same names, numbered where one occurs twice: organs of one name would be merged."""
    taken: set[str] = set()
    found = {}
    for value, name in names.items():
        number, unlike = 1, name
        while OrganName(unlike).key in taken:
            number += 1
            unlike = f"{name} {number}"
        taken.add(OrganName(unlike).key)
        found[value] = unlike
    return found


def _require_sane(volume: Volume) -> None:
    """Refuse a scan whose voxels have a size at which no body is scanned."""
    if not all(SMALLEST_MM <= step <= LARGEST_MM for step in volume.spacing_mm):
        steps = " x ".join(f"{step:g}" for step in volume.spacing_mm)
        raise InputError(f"the voxels measure {steps} mm", f"give a scan with {SMALLEST_MM:g} to {LARGEST_MM:g} mm")


def _facts(volume: Volume, name: str, source: Path, modality: str, notes: list[str]) -> Facts:
    return {
        "name": name,
        "size": list(volume.size_xyz),
        "spacing_mm": [round(s, 4) for s in volume.spacing_mm],
        "modality": modality or ("CT" if is_ct(volume.array_zyx) else ""),
        "notes": notes,
        "source": source.relative_to(source.parents[1 if source.parent.name == SLICES else 0]).as_posix(),
    }


def _write_view(volume: Volume, folder: Path) -> None:
    """The scan as NIfTI for the page, not compressed because it rarely leaves this machine."""
    write_volume(volume, folder / VIEW_NAME)


def _valued(labels: Volume, values: tuple[int, ...]) -> Volume:
    highest = int(labels.array_zyx.max())
    if highest > len(values):
        raise InputError(
            f"the mask has a voxel of {highest}, but {len(values)} values", "send the value of every drawn organ"
        )
    table = np.array([0, *values], dtype=np.int64)
    return labels.with_array(narrowed(table[labels.array_zyx]))
