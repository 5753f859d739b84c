"""Constants for a user's own scans, from the scans themselves."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np

from psmnet.data.prepare.adapters.raw_case import RawCase
from psmnet.data.prepare.preprocess import PreprocessConstants, lay_axes
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError, PsmnetError
from psmnet.io import read_lattice
from psmnet.system import map_cases
from psmnet.volume import Volume, covering, lattice, slice_first

ScanGrid = tuple[tuple[int, int, int], tuple[float, float, float], list[list[float]]]


def recipe_for(
    cases: Collection[RawCase],
    raw: RawFiles,
    scratch: Path,
    *,
    spacing_mm: tuple[float, float, float | None] | None = None,
    size_px: int | None = None,
    jobs: int = 1,
) -> PreprocessConstants:
    """The first case's axes, the median spacing, and the largest slice's size.

    Axes are turned to the first case's as `segment` turns a query's to its support's. Nothing is cut off or squeezed:
    smaller slices are padded.

    Args:
        cases: cases to prepare.
        raw: their files.
        scratch: folder for unpacked files.
        spacing_mm: instead of the median; z None for as stored.
        size_px: instead of the largest; larger slices are cropped.
        jobs: processes.

    Raises:
        InputError: no case can be read.
    """
    found: dict[str, Volume] = {}
    error: PsmnetError | None = None
    for case, grid in map_cases(partial(_grid, raw=raw, scratch=scratch), [c for c in cases if c.images], jobs):
        if isinstance(grid, PsmnetError):
            error = grid  # reported with its name when the case is prepared
        else:
            size, spacing, direction = grid
            like = Volume(np.zeros((1, 1, 1), np.uint8), direction=np.array(direction))
            found[case.id] = lattice(size, spacing, like, np.zeros(3))
    if not found:
        raise error or InputError(f"no scan in {raw.root}", "give .nii.gz, .nrrd or .mha scans")
    first = found[next(case.id for case in cases if case.id in found)]
    first = slice_first(first).apply(first)
    recipe = PreprocessConstants(direction=tuple(map(tuple, first.direction.tolist())))
    # One after another: turning a lattice allocates voxels.
    turned = (lay_axes(volume, recipe) for volume in found.values())
    laid = [lattice(volume.size_xyz, volume.spacing_mm, volume, np.zeros(3)) for volume in turned]
    x, y, z = (float(np.median([volume.spacing_mm[axis] for volume in laid])) for axis in range(3))
    target = spacing_mm or (x, y, z)
    sizes = [covering(v, (target[0], target[1], target[2] or v.spacing_mm[2])).size_xyz[:2] for v in laid]
    return PreprocessConstants(recipe.direction, spacing_mm=target, size_px=size_px or max(max(size) for size in sizes))


def _grid(case: RawCase, *, raw: RawFiles, scratch: Path) -> ScanGrid:
    with raw.local(case.images, scratch) as local:
        volume = read_lattice(local[case.images[0]])
    return volume.size_xyz, volume.spacing_mm, volume.direction.tolist()
