"""A raw download, a folder or a zip: names of its files, and a case's files on disk while they are read."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from psmnet.errors import InputError
from psmnet.system import TEMPORARY_PREFIX, files_in_zip, open_zip, unpack

LARGEST_ENTRIES = 200_000
LARGEST_TOTAL_BYTES = 200 * 2**30
LARGEST_RATIO = 100  # of a whole archive; a mask alone packs better, scans beside it don't
UNCHECKED_BYTES = 2**30  # below this the ratio does no harm: a zip of masks is small


@dataclass(frozen=True)
class RawFiles:
    """The files of a raw data set.

    Attributes:
        root: a folder or a .zip.
        names: of the files, relative to the root, with "/", sorted; hidden files and macOS's copies left out.
    """

    root: Path
    names: tuple[str, ...]

    @staticmethod
    def open(root: Path, *, leave_out: Path | None = None) -> "RawFiles":
        """List the files.

        Args:
            root: a folder or a .zip.
            leave_out: a folder inside it whose files are not listed, such as the one that is written to.

        Raises:
            InputError: it is neither, is damaged, or an archive that isn't safe to unpack.
        """
        if root.is_dir():
            names = list(_names_of_folder(root, leave_out))
        elif root.is_file() and root.suffix.lower() == ".zip":
            names = _names_of_zip(root)
        elif root.is_file():
            raise InputError(f"{root} is neither a folder nor a .zip", "give the folder or the zip of the download")
        else:
            raise InputError(f"no folder or zip {root}", "check the path")
        return RawFiles(root, tuple(sorted(name for name in names if not _is_hidden(name))))

    def with_zips(self) -> "RawFiles":
        """The same with the members of zips in the folder, as `<name>.zip/<member>`; downloads come in one or several.

        Raises:
            InputError: a zip is damaged or unsafe, and no other is there.
        """
        names, errors = list(self.names), []
        zips = [name for name in self.names if name.lower().endswith(".zip") and "/" not in name]
        for name in zips if self.root.is_dir() else []:
            try:
                names += [f"{name}/{member}" for member in RawFiles.open(self.root / name).names]
            except InputError as error:
                errors.append(error)  # perhaps another program's; the others may hold everything needed
        if errors and len(names) == len(self.names):
            raise errors[0]
        return RawFiles(self.root, tuple(sorted(names)))

    @contextlib.contextmanager
    def local(self, names: Sequence[str], scratch: Path) -> Iterator[Mapping[str, Path]]:
        """Paths of files on disk; members of a zip are unpacked and removed afterwards.

        Args:
            names: some of `self.names`.
            scratch: folder to unpack into.

        Raises:
            InputError: a file is damaged, or the disk is full.
        """
        packed: dict[Path, dict[str, str]] = {}
        found = {}
        for name in names:
            archive, member = self._place(name)
            if archive is None:
                found[name] = self.root / name
            else:
                packed.setdefault(archive, {})[name] = member
        with contextlib.ExitStack() as stack:
            for root, members in packed.items():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=scratch)))
                with open_zip(root, str(root)) as archive_file:
                    for name, member in members.items():
                        found[name] = folder / member
                        entry = archive_file.getinfo(member)
                        unpack(archive_file, entry, found[name], str(root), entry.file_size)
            yield {name: found[name] for name in names}

    def _place(self, name: str) -> tuple[Path | None, str]:
        """The zip that contains a file, or None, and its name there."""
        if not self.root.is_dir():
            return self.root, name
        first, _, member = name.partition("/")
        if member and first.lower().endswith(".zip") and (self.root / first).is_file():
            return self.root / first, member
        return None, name


def _names_of_folder(root: Path, leave_out: Path | None) -> Iterator[str]:
    seen = {root.resolve()} | ({leave_out.resolve()} if leave_out is not None else set())
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        # A link to a folder above would be followed without end.
        fresh = [name for name in sorted(folders) if (here / name).resolve() not in seen]
        seen |= {(here / name).resolve() for name in fresh}
        folders[:] = fresh
        yield from ((here / name).relative_to(root).as_posix() for name in files)


def _names_of_zip(root: Path) -> list[str]:
    most_bytes = min(LARGEST_TOTAL_BYTES, max(UNCHECKED_BYTES, LARGEST_RATIO * root.stat().st_size))
    with open_zip(root, str(root)) as archive:
        files = files_in_zip(
            archive, str(root), most_files=LARGEST_ENTRIES, most_bytes=most_bytes, names_become_paths=True
        )
    return [entry.filename for entry in files]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
