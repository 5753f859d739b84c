"""Many queries: which files they are, what their outputs are called, one after another."""

import glob
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psmnet.errors import InputError, PsmnetError
from psmnet.geometry import align_labels
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.segmenter import Segmentation, Segmenter
from psmnet.volume import Volume

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Query:
    """A scan to segment.

    Attributes:
        path: of the scan.
        name: what its outputs' names begin with.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Skipped:
    """A file that is not segmented, and why."""

    path: Path
    reason: str


def read_support(image: Path, labels: Path, *, trust_grid: bool, notes: list[str]) -> tuple[Volume, Volume]:
    """A labelled scan, its label map laid on the image's grid.

    Raises:
        InputError: a file can't be used, or the label map lies elsewhere.
    """
    remarks: list[str] = []
    volume = read_volume(image, notes=remarks)
    mask = align_labels(
        volume, read_labels(labels, notes=remarks), trust=trust_grid, image_name=image.name, labels_name=labels.name
    )
    notes += [without_folder(without_folder(remark, image), labels) for remark in remarks]
    return volume, mask


def without_folder(text: str, path: Path) -> str:
    """A remark with the file's name in place of its path: reports don't tell whose folder a scan was in."""
    return text.replace(str(path), path.name)


def find_queries(patterns: Sequence[str], supports: Sequence[Path], out: Path) -> tuple[list[Query], list[Skipped]]:
    """The scans behind files, folders (searched to the bottom) and glob patterns.

    Args:
        patterns: as a user gave them.
        supports: images and label maps of the supports, which are skipped.
        out: where outputs go; what lies under it is skipped.

    Returns:
        queries, each under a name of its own, and what was skipped.

    Raises:
        InputError: a pattern that matches nothing, nothing left to segment, or names that can't be told apart.
    """
    paths: dict[Path, None] = {}
    skipped: list[Skipped] = []
    own = {path.resolve() for path in supports}
    for pattern in patterns:
        for path in _expand(pattern):
            reason = _reason_to_skip(path, own, out)
            if reason is not None:
                skipped.append(Skipped(path, reason))
            elif path.resolve() not in {known.resolve() for known in paths}:
                paths[path] = None
    if not paths:
        why = f" ({skipped[0].path.name}: {skipped[0].reason})" if skipped else ""
        raise InputError(f"no scan to segment in {', '.join(patterns)}{why}", "give .nii or .nii.gz scans")
    return [Query(path, name) for path, name in zip(paths, _names(list(paths)), strict=True)], skipped


def segment_queries(
    segmenter: Segmenter,
    queries: Sequence[Query],
    out: Path,
    *,
    overwrite: bool,
    done: Callable[[Query, Volume, Segmentation, Path], None],
) -> list[tuple[Query, PsmnetError]]:
    """Segment one query after another; one that can't be used is reported and the rest goes on.

    Args:
        segmenter: with its support set.
        queries: scans and names.
        out: folder for `<name>_seg.nii.gz`.
        overwrite: replace masks that are there.
        done: told (query, image, result, mask's path) after each.

    Returns:
        the queries that failed, with the reason.

    Raises:
        InputError: a mask is there already and `overwrite` is off: nothing is segmented then.
    """
    targets = [out / f"{query.name}_seg.nii.gz" for query in queries]
    there = [target for target in targets if target.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]} is there already", "add --overwrite, or choose another --out")
    failed = []
    for query, target in zip(queries, targets, strict=True):
        try:
            notes: list[str] = []
            image = read_volume(query.path, notes=notes)
            result = segmenter.examine(image)
            write_volume(result.labels, target)
            done(query, image, result.with_notes([without_folder(note, query.path) for note in notes]), target)
        except PsmnetError as error:
            failed.append((query, error))
    return failed


def _expand(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".") and _is_scan(p)]
    elif path.exists() or not glob.has_magic(pattern):
        if not path.exists():
            raise InputError(f"no file or folder {pattern}", "check the path")
        found = [path]
    else:
        # Folders that exist stand for themselves: "scans [2024]/*.nii.gz".
        folder = next(parent for parent in path.parents if parent.exists())
        wanted = str(Path(glob.escape(str(folder))) / path.relative_to(folder))
        # Path.glob refuses "a**b" and finds hidden files.
        found = [p for p in map(Path, glob.glob(wanted, recursive=True)) if p.is_file()]  # noqa: PTH207
        if not found:
            raise InputError(f"nothing matches {pattern}", "check the pattern")
    return sorted(found)


def _is_scan(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _stem(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def _reason_to_skip(path: Path, supports: set[Path], out: Path) -> str | None:
    stem = _stem(path).lower()
    if path.resolve() in supports:
        return "the support itself"
    if path.resolve().is_relative_to(out.resolve()):
        return "it lies in the output folder"
    if stem.endswith("_seg") or "_seg." in path.name.lower():
        return "a segmentation"
    if stem.startswith("label_") or stem.endswith("_label") or path.parent.name in ("labelsTr", "labelsTs"):
        return "a label map"
    if stem.startswith("superpix-"):
        return "superpixels"
    return None


def _key(name: str) -> str:
    """Names that a file system may take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _names(paths: Sequence[Path]) -> list[str]:
    """Output names: the file's own or, where two would clash, its path below the common parent."""
    names = [_stem(path) for path in paths]
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
        clash = [name for name, n in Counter(map(_key, names)).items() if n > 1]
        if clash:
            raise InputError(f"several scans would be called {clash[0]}", "rename one, or segment them apart")
    return names
