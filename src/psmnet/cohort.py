"""Many queries: which files they are, what their outputs are called, one after another."""

import glob
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psmnet.errors import InputError, PsmnetError
from psmnet.io import Scan, has_scan_suffix, read_scan, write_volume
from psmnet.io.dicom_folder import holds_dicom
from psmnet.io.dicom_seg import write_dicom_seg
from psmnet.io.names import is_label_map, is_pseudolabel, is_segmentation, stem, without_folder
from psmnet.io.organ_names import OrganName
from psmnet.predictors import WholeScan
from psmnet.segmenter import Segmentation
from psmnet.volume import Volume

INSIDE_OUT = "it lies in the output folder"


@dataclass(frozen=True)
class Query:
    """A scan to segment.

    Attributes:
        path: of the scan: a file, or a folder of DICOM slices.
        name: what its outputs' names begin with.
    """

    path: Path
    name: str

    @property
    def mask_name(self) -> str:
        """File name of its mask."""
        return f"{self.name}_seg.nii.gz"

    @property
    def dicom_name(self) -> str:
        """File name of its mask as DICOM Segmentation."""
        return f"{self.name}_seg.dcm"


@dataclass(frozen=True)
class Skipped:
    """A file that is not segmented, and why."""

    path: Path
    reason: str


def find_queries(patterns: Sequence[str], supports: Sequence[Path], out: Path) -> tuple[list[Query], list[Skipped]]:
    """The scans behind files, folders (searched to the bottom, DICOM folders too) and glob patterns.

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
        inside = skipped and all(skip.reason == INSIDE_OUT for skip in skipped)
        remedy = (
            "choose an --out elsewhere" if inside else "give .nii.gz, .nrrd or .mha scans, or folders of DICOM slices"
        )
        raise InputError(f"no scan to segment in {', '.join(patterns)}{why}", remedy)
    return [Query(path, name) for path, name in zip(paths, _names(list(paths)), strict=True)], skipped


def segment_queries(
    segmenter: WholeScan,
    queries: Sequence[Query],
    out: Path,
    *,
    names: Mapping[int, OrganName] | None = None,
    series: Collection[str] = (),
    overwrite: bool = False,
    skip_existing: bool = False,
    done: Callable[[Query, Volume, Segmentation, Path], None],
) -> list[tuple[Query, PsmnetError]]:
    """Segment one query after another; one that can't be used is reported and the rest goes on.

    Args:
        segmenter: with its support set.
        queries: scans and names.
        out: folder for `<name>_seg.nii.gz`, and for `<name>_seg.dcm` of scans that are DICOM.
        names: of label values, for DICOM; label_7 and so on by default.
        series: SeriesInstanceUIDs that are wanted of DICOM folders; else the largest of each.
        overwrite: replace masks that are there.
        skip_existing: leave out queries whose mask is there, as of a run that was cut short.
        done: told (query, image, result, mask's path) after each.

    Returns:
        the queries that failed, with the reason.

    Raises:
        InputError: a mask is there already and `overwrite` is off: nothing is segmented then.
    """
    targets = {query: out / query.mask_name for query in queries}
    there = [query for query, target in targets.items() if target.exists()]
    if there and not overwrite and not skip_existing:
        raise InputError(
            f"{targets[there[0]]} is there already", "add --overwrite or --skip-existing, or choose another --out"
        )
    failed = []
    for query, target in targets.items():
        if skip_existing and query in there:
            continue
        try:
            notes: list[str] = []
            scan = read_scan(query.path, series=series, notes=notes)
            result = segmenter.examine(scan.volume)
            write_volume(result.labels, target)
            if scan.slices:
                notes += _write_dicom(scan, result.labels, names or {}, out / query.dicom_name)
            done(query, scan.volume, result.with_notes([without_folder(note, query.path) for note in notes]), target)
        except PsmnetError as error:
            failed.append((query, error))
    return failed


def _write_dicom(scan: Scan, labels: Volume, names: Mapping[int, OrganName], target: Path) -> list[str]:
    """Write a mask as DICOM Segmentation too; a remark where that can't be."""
    target.unlink(missing_ok=True)  # one of an earlier mask would tell another story
    try:
        write_dicom_seg(labels, scan.slices, names, target)
    except InputError as error:
        return [f"no DICOM Segmentation: {error}"]
    return []


def _expand(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        inside = [p for p in (path, *path.rglob("*")) if not _is_hidden(p.relative_to(path))]
        found = [p for p in inside if (holds_dicom(p) if p.is_dir() else has_scan_suffix(p) and p.is_file())]
    elif path.exists() or not glob.has_magic(pattern):
        if not path.exists():
            raise InputError(f"no file or folder {pattern}", "check the path")
        found = [path]
    else:
        # Folders that exist stand for themselves: "scans [2024]/*.nii.gz".
        folder = next(parent for parent in path.parents if parent.exists())
        wanted = str(Path(glob.escape(str(folder))) / path.relative_to(folder))
        # Path.glob refuses "a**b" and finds hidden files.
        matched = map(Path, glob.glob(wanted, recursive=True))  # noqa: PTH207
        found = [p for p in matched if p.is_file() or (p.is_dir() and holds_dicom(p))]
        if not found:
            raise InputError(f"nothing matches {pattern}", "check the pattern")
    return sorted(found)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _reason_to_skip(path: Path, supports: set[Path], out: Path) -> str | None:
    if path.resolve() in supports:
        return "the support itself"
    if path.resolve().is_relative_to(out.resolve()):
        return INSIDE_OUT
    if is_segmentation(path):
        return "a segmentation"
    if is_label_map(path):
        return "a label map"
    if is_pseudolabel(path):
        return "pseudo-labels"
    return None


def _key(name: str) -> str:
    """Names that a file system may take for the same."""
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
                raise InputError(f"outputs of {same} would have one name", "rename one, or segment them apart")
    return names
