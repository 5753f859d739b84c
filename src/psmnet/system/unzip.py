"""Opening zips from elsewhere: nothing in them is trusted, neither names nor sizes."""

import contextlib
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from psmnet.errors import InputError

BLOCK = 1 << 20
ENCRYPTED = 0x1
# What zipfile and its decompressors raise at damage; RuntimeError also stands for what they don't support.
DAMAGE = (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error, zlib.error, lzma.LZMAError, KeyError)
TOO_LARGE = "zip-too-large"


@contextlib.contextmanager
def open_zip(path: Path, called: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip.

    Args:
        path: of the zip.
        called: what errors call it.

    Raises:
        InputError: it is damaged, or can't be read.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise InputError(f"{called} is truncated or damaged ({error})", "copy or download it again") from error
    except OSError as error:
        raise InputError(f"can't read {called} ({error.strerror or error})", "check the file's permissions") from error
    with archive:
        yield archive


def files_in_zip(
    archive: zipfile.ZipFile,
    called: str,
    *,
    most_files: int,
    most_bytes: int,
    names_become_paths: bool,
    keep: Callable[[PurePosixPath], bool] = lambda name: True,
) -> list[zipfile.ZipInfo]:
    """The files of a zip, once they are safe to unpack, by what the zip says of itself.

    Args:
        archive: the open zip.
        called: what errors call it.
        most_files: allowed.
        most_bytes: allowed, unpacked, of all files together.
        names_become_paths: whether files are unpacked under their own names: these must be distinct then, and must
            not lead out of the folder.
        keep: which files to look at, by name; the others are left out.

    Raises:
        InputError: a file is a link, encrypted, or of a name that can't be used; code `zip-too-large`: too many
            files or bytes.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir() or names_become_paths]
    entries = [entry for entry in entries if keep(PurePosixPath(entry.filename))]
    files = [entry for entry in entries if not entry.is_dir()]
    if len(files) > most_files:
        raise _too_large(f"{called} holds {len(files)} files, more than {most_files}")
    if (total := sum(entry.file_size for entry in files)) > most_bytes:
        raise _too_large(f"{called} unpacks to {total} bytes, more than {most_bytes}")
    seen: set[str] = set()
    for entry in entries:
        name = PurePosixPath(entry.filename)
        fault = None
        if names_become_paths and (
            name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in entry.filename
        ):
            fault = "leads out of it"
        elif names_become_paths and entry.filename in seen:
            fault = "is there twice"
        elif stat.S_ISLNK(entry.external_attr >> 16):
            fault = "is a link"
        if fault:
            raise InputError(f"{called}: member {entry.filename!r} {fault}", "do not trust this archive")
        if entry.flag_bits & ENCRYPTED:
            raise InputError(
                f"{called} is encrypted ({entry.filename})", "unpack it by hand, or make it without a password"
            )
        seen.add(entry.filename)
    return files


def unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, called: str, most_bytes: int) -> int:
    """Unpack one file of a zip and return its number of bytes.

    Args:
        archive: the open zip.
        entry: the file, one of `files_in_zip`.
        target: where to; its folder is made.
        called: what errors call the zip.
        most_bytes: that are written; they are counted, whatever the zip says.

    Raises:
        InputError: the file is damaged, or there is no space; code `zip-too-large`: it holds more bytes.
    """
    written = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as sink:
            while block := source.read(BLOCK):
                written += len(block)
                if written > most_bytes:
                    raise _too_large(f"{called} unpacks to more than {most_bytes} bytes")
                sink.write(block)
    except DAMAGE as error:
        what = f"{called}: member {entry.filename} is damaged ({error})"
        raise InputError(what, "copy or download the archive again") from error
    except OSError as error:
        raise InputError(f"can't unpack {entry.filename} ({error.strerror or error})", "free some space") from error
    return written


def _too_large(what: str) -> InputError:
    return InputError(what, "unpack it by hand, if you trust it, and give the folder", code=TOO_LARGE)
