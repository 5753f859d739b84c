"""Writing files whole or not at all: under a temporary name in the target's folder, then renamed."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psmnet.errors import InputError

TEMPORARY_PREFIX = ".tmp-"  # of unfinished files; a killed run may leave some behind


def _cannot_write(target: Path, error: OSError) -> InputError:
    return InputError(f"can't write {target} ({error.strerror or error})", "choose a writable folder with free space")


def _name_suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` (same suffix) that becomes `target` if the block succeeds.

    Raises:
        InputError: the folder can't be made or written, or the disk is full.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=_name_suffix(target), prefix=TEMPORARY_PREFIX, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private; results are as readable as other files
        temporary.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically; file names that are not Unicode text are written with escapes."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(target: Path, content: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused, as JSON has neither."""
    write_text(target, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the path") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})", "restore or create the file again") from error


def sweep(folder: Path) -> None:
    """Remove unfinished files of a killed run from a folder; the caller must hold its lock."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def require_writable(target: Path, *, overwrite: bool = True) -> None:
    """Check, before long work, that `target` can be written; its folder is made if missing.

    Raises:
        InputError: it can't, or it exists and `overwrite` is off.
    """
    if target.is_dir():
        raise InputError(f"{target} is a folder", "give a file's name")
    if target.exists() and not overwrite:
        raise InputError(
            f"{target} already exists", "allow it to be overwritten, or choose another name", code="exists"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise _cannot_write(target, error) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
