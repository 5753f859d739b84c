"""Reads labelled scans: a label map, segments of Slicer or DICOM, or a folder with one mask per organ."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psmnet.errors import InputError
from psmnet.io import (
    OrganName,
    has_scan_suffix,
    narrowed,
    read_label_file,
    read_labels,
    read_scan,
    stacked,
    stem,
    unnamed,
    without_folder,
)
from psmnet.volume import Volume, align_labels, parts


@dataclass(frozen=True)
class Supports:
    """Labelled scans with one set of label values and names.

    Attributes:
        pairs: for each scan, the image and the label map on its grid.
        names: label value to name, for every value in a label map.
        modalities: of the images, as DICOM names them; "" where it is not known.
    """

    pairs: tuple[tuple[Volume, Volume], ...]
    names: dict[int, OrganName]
    modalities: frozenset[str] = frozenset()

    def parts(self, values: Sequence[int]) -> dict[int, int]:
        """Largest number of connected parts that each value has in a scan."""
        return {value: max(parts(labels.array_zyx == value) for _, labels in self.pairs) for value in values}


@dataclass(frozen=True)
class Labelled:
    """One labelled scan, before label values are made consistent between scans.

    Attributes:
        image: the scan.
        labels: label map on its grid.
        names: by label value; values of a file with names have no meaning outside that file.
        modality: as DICOM names it; "" if it is not known.
    """

    image: Volume
    labels: Volume
    names: dict[int, OrganName]
    modality: str


def read_supports(
    pairs: Sequence[tuple[Path, Path]],
    *,
    names: Mapping[int, OrganName] | None = None,
    series: Collection[str] = (),
    trust_grid: bool = False,
    notes: list[str] | None = None,
) -> Supports:
    """Read labelled scans and make their label values consistent.

    Args:
        pairs: image (a file, or a folder of DICOM slices) and labels (a label map, a .seg.nrrd, a DICOM Segmentation,
            or a folder of masks, each named after its organ).
        names: names of label values.
        series: SeriesInstanceUIDs to read from DICOM folders.
        trust_grid: ignore the header of a label map that has the image's size.
        notes: remarks for the user are appended to it.

    Returns:
        the scans. Values of label maps stay. Named segments keep their values where these are free, and get a free
        value otherwise; organs with the same name get the same value. Unnamed values are called label_7 and so on.

    Raises:
        InputError: a file can't be used, or labels and image are on different grids.
    """
    remarks: list[str] = []
    found = [read_labelled(image, labels, series, trust_grid, remarks) for image, labels in pairs]
    if notes is not None:
        notes += remarks
    return agreed_on(found, names)


def agreed_on(found: Sequence[Labelled], names: Mapping[int, OrganName] | None = None) -> Supports:
    """Make label values of labelled scans consistent, as `read_supports` describes.

    Args:
        found: the scans.
        names: names of label values.
    """
    known = dict(names or {})
    plain = {int(v) for one in found if not one.names for v in np.unique(one.labels.array_zyx)} - {0}
    agreed = {value: known.get(value, unnamed(value)) for value in plain}
    taken = set(known) | plain
    by_name = {organ.key: value for value, organ in {**known, **agreed}.items()}
    scans = []
    for one in found:
        moves: dict[int, int] = {}
        for value, organ in one.names.items():
            key = organ.key
            if key not in by_name:
                by_name[key] = value if value not in taken else next(v for v in range(1, 2**16) if v not in taken)
                taken.add(by_name[key])
            moves[value] = by_name[key]
            agreed.setdefault(by_name[key], known.get(by_name[key], organ))
        scans.append((one.image, _renumbered(one.labels, moves)))
    return Supports(tuple(scans), dict(sorted(agreed.items())), frozenset(one.modality for one in found))


def _renumbered(labels: Volume, moves: Mapping[int, int]) -> Volume:
    if all(old == new for old, new in moves.items()):
        return labels
    table = np.zeros(max(moves) + 1, dtype=np.int64)
    table[list(moves)] = list(moves.values())
    return labels.with_array(narrowed(table[labels.array_zyx]))


def read_labelled(image: Path, labels: Path, series: Collection[str], trust_grid: bool, notes: list[str]) -> Labelled:
    """Read one labelled scan; the arguments are those of `read_supports`.

    Raises:
        InputError: a file can't be used, or labels and image are on different grids.
    """
    if image.resolve() == labels.resolve():
        raise InputError(f"{image} is given as image and as label map", "give two files", code="one-file-support")
    remarks: list[str] = []
    read = read_scan(image, series=series, notes=remarks)
    scan = read.volume

    def on_grid(found: Volume, path: Path, notes: list[str] | None = remarks) -> Volume:
        names = {"image_name": image.name, "labels_name": path.name}
        return align_labels(scan, found, trust=trust_grid, notes=notes, **names)

    if labels.is_dir():
        volume, names = _masks(labels, on_grid, scan, remarks)
    else:
        segments = read_label_file(labels)
        cropped_by_format = bool(segments.names)  # 3D Slicer and DICOM store the labelled part only
        volume = on_grid(segments.volume, labels, None if cropped_by_format else remarks)
        names = segments.names
        remarks += segments.notes
    notes += [without_folder(without_folder(remark, image), labels) for remark in remarks]
    return Labelled(scan, volume, names, read.modality)


def _masks(
    folder: Path, on_grid: Callable[[Volume, Path], Volume], scan: Volume, notes: list[str]
) -> tuple[Volume, dict[int, OrganName]]:
    """Join a folder's masks to one label map; an organ is where its mask is not 0."""
    files = sorted(path for path in folder.iterdir() if has_scan_suffix(path) and not path.name.startswith("."))
    if not files:
        raise InputError(f"{folder} holds no mask", "give a folder of masks, each called after its organ")
    names = {value: OrganName(stem(path)) for value, path in enumerate(files, 1)}
    if len({organ.key for organ in names.values()}) < len(names):
        raise InputError(f"{folder} holds two masks of one organ", "leave one out")
    masks = (
        (value, on_grid(read_labels(path, notes=notes), path).array_zyx > 0) for value, path in enumerate(files, 1)
    )
    labels, shared = stacked(masks, scan.array_zyx.shape, "masks")
    notes += [f"{folder}: {remark} by name" for remark in shared]
    return scan.with_array(labels), names
