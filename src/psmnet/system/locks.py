"""One writer per folder: a lock file with process id and host; a dead owner's is taken over."""

import contextlib
import ctypes
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from psmnet.errors import InputError

LOCK_NAME = ".psmnet.lock"
NEWBORN_S = 2.0  # a lock may be empty for a moment before its owner has signed it


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the folder is made if missing, and goes again if it stays empty.

    Raises:
        InputError: another live process holds it, or it can't be written.
    """
    path = folder / LOCK_NAME
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "give a folder")
    ours = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _take(path, folder)
    except OSError as error:
        raise InputError(f"can't write {folder} ({error.strerror or error})", "choose a writable folder") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if ours:
            with contextlib.suppress(OSError):  # it holds something, and so it stays
                folder.rmdir()


def _take(path: Path, folder: Path) -> None:
    for _ in range(2):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            owner = _owner(path)
            if owner is None and time.time() - path.stat().st_mtime < NEWBORN_S:
                raise InputError(f"{folder} is being taken by another process", "wait for it") from None
            if owner is not None and (owner[1] != platform.node() or _alive(owner[0])):
                raise InputError(
                    f"{folder} is being written by process {owner[0]} on {owner[1]}",
                    f"wait for it, or delete {path} if it is gone",
                ) from None
            path.unlink(missing_ok=True)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"pid": os.getpid(), "host": platform.node()}, stream)
        return
    raise InputError(f"{folder} was taken by another process just now", "wait for it")


def _owner(path: Path) -> tuple[int, str] | None:
    """Process id and host in a lock; None for one that its writer was killed in the middle of."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return int(content["pid"]), str(content["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    if sys.platform == "win32":
        # os.kill(pid, 0) ends the process there.
        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
