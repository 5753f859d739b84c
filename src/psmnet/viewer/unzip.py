"""Zips from outside: unpacked under numbers, never under the names in them, and within bounds."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from psmnet.errors import InputError
from psmnet.viewer.refusals import TooLarge

BLOCK = 1 << 20


def unzip(archive: Path, folder: Path, most_files: int, most_bytes: int) -> list[tuple[Path, PurePosixPath]]:
    """Unpack the files of a zip as `00001<suffix>`, ... into a new folder.

    Args:
        archive: the zip; nothing in it is believed, its sizes neither.
        folder: where to; there is none yet, and there is none again if this fails.
        most_files, most_bytes: that are unpacked.

    Returns:
        each file, and what it is called in the zip, in the order of their names.

    Raises:
        InputError: it is damaged, encrypted or empty, or holds a link.
        TooLarge: it holds more.
    """
    try:
        folder.mkdir(mode=0o700)
        with zipfile.ZipFile(archive) as opened:
            return _unpack(opened, folder, most_files, most_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"the zip can't be unpacked ({error})", "make it again, without a password") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(
    opened: zipfile.ZipFile, folder: Path, most_files: int, most_bytes: int
) -> list[tuple[Path, PurePosixPath]]:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    entries = [entry for entry in entries if not _is_clutter(PurePosixPath(entry.filename))]
    if not entries:
        raise InputError("the zip is empty", "put a scan's files into it")
    if len(entries) > most_files:
        raise TooLarge(f"the zip holds {len(entries)} files", f"send {most_files} at most")
    found, left = [], most_bytes
    for number, entry in enumerate(sorted(entries, key=lambda e: e.filename), start=1):
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError("the zip holds a link", "put the files themselves into it")
        name = PurePosixPath(entry.filename)
        path = folder / f"{number:05d}{_suffix(name)}"
        with opened.open(entry) as packed, path.open("wb") as out:
            while block := packed.read(BLOCK):
                left -= len(block)
                if left < 0:
                    raise TooLarge(f"the zip holds more than {most_bytes >> 20} MiB", "send less at a time")
                out.write(block)
        found.append((path, name))
    return found


def _suffix(name: PurePosixPath) -> str:
    """What tells a file's format; DICOM needs none."""
    lower = name.name.lower()
    return next((s for s in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha") if lower.endswith(s)), "")


def _is_clutter(name: PurePosixPath) -> bool:
    """What systems put into zips unasked."""
    return "__MACOSX" in name.parts or name.name.startswith(".") or name.name in {"Thumbs.db", "desktop.ini"}
