"""The scans that a user names by files, folders and patterns, and names for their outputs."""

import glob
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psmnet.errors import InputError
from psmnet.io import has_scan_suffix
from psmnet.io.checksums import checksum
from psmnet.io.dicom_folder import holds_dicom
from psmnet.io.names import is_label_map, is_pseudolabel, is_segmentation, stem

INSIDE_OUT = "it is in the output folder"


@dataclass(frozen=True)
class Query:
    """A scan to segment.

    Attributes:
        path: of the scan: a file, or a folder of DICOM slices.
        name: the first part of its outputs' names.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Skipped:
    """A file that is not segmented, and why."""

    path: Path
    reason: str


def find_queries(
    patterns: Sequence[str], supports: Sequence[Path] = (), out: Path | None = None
) -> tuple[list[Query], list[Skipped]]:
    """Find scans by files, folders (searched with their subfolders) and glob patterns.

    Args:
        patterns: paths and patterns.
        supports: images and label maps of the supports, which are skipped.
        out: folder of the outputs; what is in it is skipped.

    Returns:
        queries, each with a unique name, and what was skipped.

    Raises:
        InputError: a pattern matches nothing, no scan is left, or two outputs would have the same name.
    """
    paths: dict[Path, Path] = {}  # real path to that which was given
    skipped: list[Skipped] = []
    own = {path.resolve() for path in supports}
    for pattern in patterns:
        for path in _expand(pattern):
            reason = _reason_to_skip(path, own, out)
            if reason is not None:
                skipped.append(Skipped(path, reason))
            else:
                paths.setdefault(path.resolve(), path.absolute())
    if not paths:
        why = f" ({skipped[0].path.name}: {skipped[0].reason})" if skipped else ""
        inside = skipped and all(skip.reason == INSIDE_OUT for skip in skipped)
        what = f"no scan in {', '.join(patterns)}{why}"
        if inside:
            raise InputError(what, "choose an output folder elsewhere", code="inside-out")
        raise InputError(what, "give .nii.gz, .nrrd or .mha scans, or folders of DICOM slices")
    found = list(paths.values())
    return [Query(path, name) for path, name in zip(found, _names(found), strict=True)], skipped


def anonymised(queries: Sequence[Query]) -> list[Query]:
    """The same under names that say nothing of the patient, made from each scan's content: always the same ones."""
    times: Counter[str] = Counter()
    found = []
    for query in queries:
        try:
            name = f"scan_{checksum(query.path)[:12]}"
        except InputError:  # it is reported when it is read
            name = "unreadable"
        times[name] += 1
        found.append(Query(query.path, name if times[name] == 1 else f"{name}-{times[name]}"))
    return found


def _expand(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        try:
            found = list(_scans_in(path))
        except OSError as error:
            raise InputError(f"can't read {path} ({error.strerror or error})", "check its permissions") from error
    elif path.exists() or not glob.has_magic(pattern):
        if not path.exists():
            raise InputError(f"no file or folder {pattern}", "check the path")
        found = [path]
    else:
        # Folders that exist are not patterns: "scans [2024]/*.nii.gz".
        folder = next(parent for parent in path.parents if parent.exists())
        wanted = str(Path(glob.escape(str(folder))) / path.relative_to(folder))
        # Path.glob refuses "a**b" and finds hidden files.
        matched = map(Path, glob.glob(wanted, recursive=True))  # noqa: PTH207
        found = [p for p in matched if p.is_file() or (p.is_dir() and holds_dicom(p))]
        if not found:
            raise InputError(f"nothing matches {pattern}", "check the pattern")
    return sorted(found)


def _scans_in(folder: Path) -> Iterator[Path]:
    """Scans in a folder and below it, what is hidden left out; links to folders are not followed further down."""
    if holds_dicom(folder):
        yield folder
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _scans_below(path)
        elif holds_dicom(path) if path.is_dir() else has_scan_suffix(path) and path.is_file():
            yield path


def _scans_below(folder: Path) -> Sequence[Path]:
    """The same of a subfolder. One that may not be read is taken as a scan: it fails alone, when it is read."""
    try:
        return list(_scans_in(folder))
    except (InputError, OSError):
        return [folder]


def _reason_to_skip(path: Path, supports: set[Path], out: Path | None) -> str | None:
    if path.resolve() in supports:
        return "the support itself"
    if out is not None and path.resolve().is_relative_to(out.resolve()):
        return INSIDE_OUT
    if is_segmentation(path):
        return "a segmentation"
    if is_label_map(path):
        return "a label map"
    if is_pseudolabel(path):
        return "pseudo-labels"
    return None


def _key(name: str) -> str:
    """Equal for names that a file system may treat as the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _names(paths: Sequence[Path]) -> list[str]:
    """Output names: the file's own or, where two would clash, its path below the common parent."""
    names = [path.resolve().name if path.is_dir() else stem(path) for path in paths]
    count = Counter(map(_key, names))
    if max(count.values()) > 1:
        parts = [path.resolve().parent.parts for path in paths]
        common = 0
        while all(len(p) > common for p in parts) and len({p[common] for p in parts}) == 1:
            common += 1
        names = [
            "_".join([*parent[common:], name]) if count[_key(name)] > 1 else name
            for name, parent in zip(names, parts, strict=True)
        ]
        for key, times in Counter(map(_key, names)).items():
            if times > 1:
                same = ", ".join(path.name for path, name in zip(paths, names, strict=True) if _key(name) == key)
                raise InputError(
                    f"outputs of {same} would have the same name", "rename one, or process them in separate runs"
                )
    return names
