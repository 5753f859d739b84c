"""What the stages keep of each scan of a cohort, in a folder of its own: arrays under the checksum of their inputs."""

import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from psmnet.errors import InputError
from psmnet.system import atomic_path
from psmnet.volume import Array

_KEY = "key"


class ScanStore:
    """The stages' arrays of one scan.

    Args:
        work: folder of all scans.
        name: of the scan.
    """

    def __init__(self, work: Path, name: str) -> None:
        self.folder = work / name

    def save(self, stage: str, key: str, **arrays: Array) -> None:
        """Write a stage's arrays, whole or not at all.

        Raises:
            InputError: the folder can't be written, or the disk is full.
        """
        with atomic_path(self.folder / f"{stage}.npz") as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **{_KEY: np.array(key)}, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the next parameter for one of them

    def load(self, stage: str, key: str) -> dict[str, Array] | None:
        """A stage's arrays; None if there are none, or those of other inputs, or damaged ones: it is done again."""
        try:
            path = self.folder / f"{stage}.npz"
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                if str(stored[_KEY]) != key:
                    return None
                return {name: stored[name] for name in stored.files if name != _KEY}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):  # none, or damaged
            return None

    def require(self, stage: str, key: str) -> dict[str, Array]:
        """A stage's arrays, which an earlier stage of this run has left.

        Raises:
            InputError: somebody has removed or changed them since.
        """
        arrays = self.load(stage, key)
        if arrays is None:
            raise InputError(f"{self.folder / stage}.npz was removed or changed", "run again; it is made again")
        return arrays

    def save_mapped(self, name: str, array: Array) -> None:
        """Write an array that is later read in parts; it belongs to a stage that is saved after it."""
        with atomic_path(self.folder / f"{name}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, array)

    def has_mapped(self, name: str) -> bool:
        """Whether there is such an array, and it can be read."""
        try:
            self.mapped(name)
        except (OSError, ValueError):
            return False
        return True

    def mapped(self, name: str) -> Array:
        """An array of `save_mapped`, of which only what is read comes into memory."""
        array: Array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array

    def remove(self) -> None:
        """Delete all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)
