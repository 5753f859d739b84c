"""Uploaded zips, unpacked under numbers, never under the names in them, and within limits."""

import shutil
from pathlib import Path, PurePosixPath

from psmnet.errors import InputError
from psmnet.system import TOO_LARGE, files_in_zip, open_zip, unpack
from psmnet.viewer.refusals import TooLarge

CALLED = "the zip"  # its own name is not for the page


def unzip(archive: Path, folder: Path, most_files: int, most_bytes: int) -> list[tuple[Path, PurePosixPath]]:
    """Unpack the files of a zip as `00001<suffix>`, ... into a new folder.

    Args:
        archive: the zip; nothing in it is trusted, neither names nor sizes.
        folder: where to; it must not exist, and is removed if this fails.
        most_files, most_bytes: allowed in all.

    Returns:
        each file and its name in the zip, sorted by these names.

    Raises:
        InputError: it is damaged, encrypted or empty, or contains a link.
        TooLarge: it holds more than allowed.
    """
    found, left = [], most_bytes
    try:
        folder.mkdir(mode=0o700)
        with open_zip(archive, CALLED) as opened:
            entries = files_in_zip(
                opened, CALLED, most_files=most_files, most_bytes=most_bytes, names_become_paths=False, keep=_is_wanted
            )
            if not entries:
                raise InputError("the zip is empty", "add the files of a scan to it")
            for number, entry in enumerate(sorted(entries, key=lambda e: e.filename), start=1):
                name = PurePosixPath(entry.filename)
                path = folder / f"{number:05d}{_suffix(name)}"
                left -= unpack(opened, entry, path, CALLED, left)
                found.append((path, name))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, InputError) and error.code == TOO_LARGE:
            remedy = f"send at most {most_files} files of {most_bytes >> 20} MiB at a time"
            raise TooLarge(error.what, remedy) from error
        raise
    return found


def _suffix(name: PurePosixPath) -> str:
    """The suffix, where a file's format depends on it; DICOM needs none."""
    lower = name.name.lower()
    return next((s for s in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha") if lower.endswith(s)), "")


def _is_wanted(name: PurePosixPath) -> bool:
    """All but the files that systems add to zips."""
    return not ("__MACOSX" in name.parts or name.name.startswith(".") or name.name in {"Thumbs.db", "desktop.ini"})
