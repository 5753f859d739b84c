"""Where a viewer keeps uploads and results: private, and under file names of its own.

Layout: `scans/<id>/` (source, view.nii, its labels under `labels/<id>/`), `jobs/<id>/`, `incoming/`, `viewer.sqlite3`.
No name that comes from outside ever becomes part of a path.
"""

import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path

from psmnet.errors import InputError
from psmnet.system import LOCK_NAME
from psmnet.viewer.refusals import Gone, Incomplete

ID = re.compile(r"[0-9a-f]{16}")
PARTS = ("scans", "jobs", "incoming")
TRIES, WAIT_S = 20, 0.1  # of deleting a folder
MARK = "psmnet-viewer"  # a file that says whose folder this is: no other folder is ever emptied


def new_id() -> str:
    """A random id that can't be guessed."""
    return secrets.token_hex(8)


def default_folder() -> Path:
    """The usual place for data of the user's programs."""
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Application Support"
    else:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "psmnet" / "viewer"


class DataFolder:
    """A viewer's folder, created if missing, readable by its user only.

    Args:
        root: the folder.

    Raises:
        InputError: it can't be created, or holds other files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            inside = {path.name for path in self.root.iterdir()} - {LOCK_NAME}
            if inside and MARK not in inside:
                what = f"{root} holds other files than a viewer's data"
                raise InputError(what, "use another folder", code="viewer-folder")
            self.root.chmod(0o700)
            (self.root / MARK).touch()
            for name in PARTS:
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            what = f"can't write to {root} ({error.strerror or error})"
            raise InputError(what, "use another folder", code="viewer-folder") from error

    def require_whole(self) -> None:
        """Check that nobody has deleted the database or a folder since the server started.

        Raises:
            Incomplete: somebody has.
        """
        for path in (self.database, *(self.root / name for name in PARTS)):
            if not path.exists():
                what = "database" if path == self.database else f"folder {path.name}"
                raise Incomplete(
                    f"the server's {what} has been deleted", "restart psmnet serve and upload the scans again"
                )

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.root / "viewer.sqlite3"

    def scan(self, scan_id: str) -> Path:
        """A scan's folder."""
        return self.root / "scans" / _checked(scan_id)

    def labels(self, scan_id: str, labels_id: str) -> Path:
        """The folder of a scan's label set."""
        return self.scan(scan_id) / "labels" / _checked(labels_id)

    def job(self, job_id: str) -> Path:
        """A job's folder."""
        return self.root / "jobs" / _checked(job_id)

    def incoming(self) -> Path:
        """A new file name for an upload."""
        return self.root / "incoming" / new_id()

    def purge(self) -> int:
        """Delete everything; returns how many bytes that were. The caller holds the lock."""
        freed = size_of(self.root)
        for path in self.root.iterdir():
            if path.name in (LOCK_NAME, MARK):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return freed


def existing(path: Path, what: str) -> Path:
    """A file or folder that the server made, if nobody has deleted it.

    Raises:
        Gone: somebody has.
    """
    if not path.exists():
        raise Gone(f"the file of this {what} is missing on the server", f"delete the {what} here and make it again")
    return path


def remove(folder: Path) -> None:
    """Delete a folder into which processes that are just ending may still write."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(WAIT_S)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; files that disappear meanwhile are not counted."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _checked(name: str) -> str:
    """An id: nothing else may become part of a path."""
    if not ID.fullmatch(name):
        raise InputError("this is not an id", "give an id from the server's answers")
    return name
