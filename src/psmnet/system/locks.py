"""One writer per folder, by a lock file that names its process and host; the lock of a dead process is taken over."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import SoftFileLock, Timeout

from psmnet.errors import InputError

LOCK_NAME = ".psmnet.lock"
UNSIGNED_S = 2.0  # a lock file without an owner is being written, or its process was killed before it could
RETRY_S = 0.1


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the folder is made if missing, and removed again if it stays empty.

    A lock file, not one of the operating system's locks: those do not reach across all shared file systems.

    Raises:
        InputError: another running process holds it, or it can't be written.
    """
    path = folder / LOCK_NAME
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", "give a folder")
    ours = not folder.exists()
    lock = SoftFileLock(path, timeout=RETRY_S, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and _owner(path) is None and time.time() - path.stat().st_mtime > UNSIGNED_S:
            path.unlink(missing_ok=True)  # filelock would wait without end
        lock.acquire()
    except Timeout as error:
        owner = _owner(path)
        by = f"process {owner[0]} on {owner[1]}" if owner else "another process"
        raise InputError(
            f"{folder} is being written by {by}", f"wait for it, or delete {path} if that process has ended"
        ) from error
    except OSError as error:
        raise InputError(f"can't write {folder} ({error.strerror or error})", "choose a writable folder") from error
    try:
        yield
    finally:
        lock.release()
        if ours:
            with contextlib.suppress(OSError):  # it is not empty, so it stays
                folder.rmdir()


def _owner(path: Path) -> tuple[int, str] | None:
    """Process id and host in a lock; None if it is not signed."""
    try:
        pid, host, *_ = path.read_text(encoding="utf-8").splitlines()
        return int(pid), host.partition("?")[0]  # filelock appends the container
    except (OSError, ValueError):
        return None
