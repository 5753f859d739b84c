"""CHAOS, T2-SPIR: DICOM slices with a PNG of grey values for each (Kavur et al., MedIA 69 (2021) 101950)."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from psmnet.catalog import DATASETS
from psmnet.data.prepare import RawFiles
from psmnet.data.prepare.adapters.raw_case import RawCase, require_whole
from psmnet.errors import InputError
from psmnet.io import read_dicom_series, read_grey_png
from psmnet.volume import Array, Volume

_SLICE = re.compile(r"(?:^|/)(?P<id>\d+)/T2SPIR/(?P<kind>DICOM_anon|Ground)/[^/]+\.(?P<suffix>dcm|png)$", re.IGNORECASE)

# Grey value above .., up to ..: label. By range, never by rank: a missing organ would shift all others.
_GREY: tuple[tuple[int, int, int], ...] = ((55, 70, 1), (110, 135, 2), (175, 200, 3), (240, 255, 4))


def find(raw: RawFiles) -> list[RawCase]:
    """Cases by the number of their folder, wherever `<id>/T2SPIR` is; the test set has other numbers and no PNG."""
    images: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for name in raw.names:
        if match := _SLICE.search(name):
            kind, suffix = match["kind"].lower(), match["suffix"].lower()
            if (kind, suffix) == ("dicom_anon", "dcm"):
                images.setdefault(match["id"], []).append(name)
            elif (kind, suffix) == ("ground", "png"):
                labels.setdefault(match["id"], []).append(name)
    ids = labels.keys() | (images.keys() & set(DATASETS["chaos-t2"].case_ids))
    return [RawCase(i, tuple(images.get(i, ())), tuple(labels.get(i, ()))) for i in sorted(ids, key=int)]


def read(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """Slices ordered by position, each with the PNG of the same stem."""
    require_whole(case, "DICOM_anon/*.dcm", "Ground/*.png")
    masks = {PurePosixPath(name).stem: name for name in case.labels}
    slices = {PurePosixPath(name).stem: name for name in case.images}
    for stem in sorted(slices.keys() ^ masks.keys()):
        has, lacks = ("DICOM", "PNG") if stem in slices else ("PNG", "DICOM")
        raise InputError(f"case {case.id}: slice {stem} has a {has} but no {lacks}", "unpack the download again")
    series = read_dicom_series([local[name] for name in case.images], notes=notes)
    maps = []
    for path, slice_yx in zip(series.files, series.volume.array_zyx, strict=True):
        name = masks[path.stem]
        grey = read_grey_png(local[name])
        if grey.shape != slice_yx.shape:
            raise InputError(f"{name} has shape {grey.shape}, its DICOM {slice_yx.shape}", "unpack the download again")
        maps.append(labels_of_grey(grey, name))
    return series.volume, series.volume.with_array(np.stack(maps))


def labels_of_grey(grey: Array, name: str) -> Array:
    """Label values of CHAOS's grey values.

    Args:
        grey: uint8, any shape.
        name: of the file, for errors.

    Returns:
        uint8 of the same shape: 0, or 1 liver, 2 right kidney, 3 left kidney, 4 spleen.

    Raises:
        InputError: an unknown grey value.
    """
    labels = np.zeros(grey.shape, np.uint8)
    for above, up_to, value in _GREY:
        labels[(grey > above) & (grey <= up_to)] = value
    unknown = grey[(labels == 0) & (grey != 0)]
    if unknown.size:
        ranges = ", ".join(f"{above + 1} to {up_to}" for above, up_to, _ in _GREY)
        raise InputError(
            f"{name} holds the grey value {int(unknown[0])}",
            f"only 0 and {ranges} are known: is it a CHAOS T2SPIR map?",
        )
    return labels
