"""The series in a folder of DICOM files, and which of them to read."""

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psmnet.errors import InputError
from psmnet.io.dicom import Series, read_dicom_series
from psmnet.io.names import is_segmentation
from psmnet.io.nifti_header import require_readable_name

if TYPE_CHECKING:
    from pydicom import Dataset

MAGIC, MAGIC_AT = b"DICM", 128
GROUPING = ("SeriesInstanceUID", "Modality", "Rows", "Columns", "NumberOfFrames")


@dataclass(frozen=True)
class FoundSeries:
    """Files of one folder that belong together.

    Attributes:
        uid: SeriesInstanceUID; "" where the files have none, or each another.
        modality: as in DICOM; "" if the files have none.
        files: with pixels, sorted by name.
    """

    uid: str
    modality: str
    files: tuple[Path, ...]

    def __str__(self) -> str:
        """For messages: its UID, modality and number of files."""
        count = f"{len(self.files)} file{'s' if len(self.files) > 1 else ''}"
        return f"{self.uid or 'without UID'} ({self.modality or 'unknown modality'}, {count})"


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins as DICOM files do; False if it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC
    except OSError:
        return False


def holds_dicom(folder: Path) -> bool:
    """Whether a folder itself holds a DICOM file; DICOMDIR (a table of contents) and `<name>_seg.dcm` don't count.

    Raises:
        InputError: the folder can't be read.
    """
    return any(not is_segmentation(path) for path in _dicom_files(folder))


def find_series(folder: Path) -> list[FoundSeries]:
    """The series of a folder, the largest first; files without pixels and of other kinds are left out.

    Files without a series, and files that each name another one (as in CHAOS), are one series if they have the same
    modality and size.

    Raises:
        InputError: the folder or a file of it can't be read.
    """
    import pydicom

    found: dict[tuple[str, ...], list[Path]] = {}
    for path in _dicom_files(folder):
        require_readable_name(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # values that are not strictly standard
                tags = pydicom.dcmread(path, specific_tags=list(GROUPING), stop_before_pixels=True)
                key = tuple(str(tags.get(keyword, "") or "") for keyword in GROUPING)
        except Exception as error:  # pydicom raises whatever its parser met
            raise InputError(f"{path} is truncated or damaged ({error})", "copy it again, or remove it") from error
        if _no_image(tags):
            continue
        if key[2]:
            found.setdefault(key, []).append(path)
        else:
            raise InputError(f"{path} is truncated: it should be an image, but has no Rows", "copy it again")
    by_uid: dict[tuple[str, str], list[Path]] = {}
    for key, files in found.items():
        by_uid.setdefault((key[0], key[1]), []).extend(files)
    if len(by_uid) > 1 and all(len(files) == 1 for files in by_uid.values()) and len({k[1:] for k in found}) == 1:
        ((_, modality), *_) = by_uid
        return [FoundSeries("", modality, tuple(sorted(path for files in by_uid.values() for path in files)))]
    series = [FoundSeries(uid, modality, tuple(sorted(files))) for (uid, modality), files in by_uid.items()]
    return sorted(series, key=lambda s: (-len(s.files), s.uid))


def read_dicom_folder(folder: Path, *, uids: Collection[str] = (), notes: list[str] | None = None) -> Series:
    """Read one series of a folder: one of `uids`, else the largest.

    Args:
        folder: DICOM files, one per slice; its subfolders are not read.
        uids: SeriesInstanceUIDs to read, of this or of other folders.
        notes: gets remarks for the user: which series was read if there are several.

    Raises:
        InputError: no DICOM image, two matching or two equally large series, or one that can't be read.
    """
    series = find_series(folder)
    if not series:
        raise InputError(f"{folder} holds no DICOM image", "give a folder with the slices of one scan")
    named = [one for one in series if one.uid in uids]
    if len(named) > 1:
        raise InputError(f"{folder} holds {len(named)} of the requested series", f"request one of {_listed(named)}")
    if not named and len(series) > 1 and len(series[0].files) == len(series[1].files):
        raise InputError(
            f"{folder} holds {len(series)} series, none larger than all others", f"request one of {_listed(series)}"
        )
    taken = named[0] if named else series[0]
    if notes is not None and not named and (uids or len(series) > 1):
        why = "none of the requested series is there" if uids else "the largest"
        left = f"; not read: {_listed(series[1:])}" if len(series) > 1 else ""
        notes.append(f"{folder}: series {taken} is used, {why}{left}")
    return read_dicom_series(taken.files, notes=notes)


def _listed(series: Sequence[FoundSeries]) -> str:
    return ", ".join(map(str, series))


def _no_image(tags: "Dataset") -> bool:
    """Whether a file is not a scan: a report, a presentation state, a segmentation, a radiotherapy object."""
    kind = tags.file_meta.get("MediaStorageSOPClassUID")
    known = kind is not None and (kind.is_private or kind.name != str(kind))  # a truncated name is unknown
    return known and "Image Storage" not in kind.name


def _dicom_files(folder: Path) -> Iterator[Path]:
    try:
        for path in sorted(folder.iterdir()):
            hidden = path.name.startswith(".") or path.name.upper() == "DICOMDIR"
            if not hidden and path.is_file() and is_dicom_file(path):
                yield path
    except OSError as error:
        raise InputError(f"can't read {folder} ({error.strerror or error})", "check its permissions") from error
