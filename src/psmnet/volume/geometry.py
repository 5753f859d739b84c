"""Aligning scans without resampling: permute, flip, crop and pad axes, each reversible.

Stored axes are counted in (x, y, z) order, as spacing and direction are: stored axis j is array axis 2 - j.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psmnet.errors import InputError
from psmnet.volume.volume import Array, Volume

Matrix = npt.NDArray[np.float64]
Axes = tuple[int, int, int]
Flips = tuple[bool, bool, bool]

COARSENESS = 1.5
LATTICE_TOLERANCE_VOXELS = 0.05  # float32 headers are exact to 0.001 voxel; half a voxel would move a contour


@dataclass(frozen=True)
class Reorientation:
    """Another order and direction of the stored axes; every voxel keeps its physical position.

    Attributes:
        axes: new stored axis j (x, y, z) is the old stored axis axes[j].
        flips: whether new stored axis j then runs backwards.
    """

    axes: Axes = (0, 1, 2)
    flips: Flips = (False, False, False)

    def apply(self, volume: Volume) -> Volume:
        """The volume with its stored axes permuted and flipped; the array is contiguous."""
        direction = volume.direction[:, list(self.axes)].copy()
        spacing = [volume.spacing_mm[axis] for axis in self.axes]
        origin = np.array(volume.origin_mm)
        for new_axis, (old_axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            if flip:
                last = volume.size_xyz[old_axis] - 1
                origin += direction[:, new_axis] * (spacing[new_axis] * last)
                direction[:, new_axis] *= -1
        x, y, z = origin.tolist()
        steps = (spacing[0], spacing[1], spacing[2])
        return Volume(self.apply_array(volume.array_zyx), steps, (x, y, z), direction)

    def apply_array(self, array_zyx: Array) -> Array:
        """Permute and flip the last three axes (z, y, x) of an array; axes before them stay. Contiguous."""
        order = self._array_order(array_zyx)
        return np.ascontiguousarray(np.flip(array_zyx.transpose(order), self._flipped_array_axes()))

    def undo(self, array_zyx: Array) -> Array:
        """Bring an array on the new grid back to the old one; axes before the last three stay. Contiguous."""
        order = self._array_order(array_zyx)
        return np.ascontiguousarray(np.flip(array_zyx, self._flipped_array_axes()).transpose(np.argsort(order)))

    def _array_order(self, array_zyx: Array) -> list[int]:
        leading = array_zyx.ndim - 3
        return [*range(leading), *(leading + 2 - self.axes[2 - new] for new in range(3))]

    def _flipped_array_axes(self) -> tuple[int, ...]:
        return tuple(-1 - axis for axis in range(3) if self.flips[axis])  # from the end: x is the last array axis


def signed_permutation(direction_from: Matrix, direction_to: Matrix) -> tuple[Axes, Flips]:
    """The order and signs of one scan's axes that lie closest along another's.

    Of the 48 signed permutations P the one with the largest trace(direction_to^T direction_from P). Ties (axes at
    45 degrees) go to the first in lexicographic order of the axes, and to not flipping.

    Args:
        direction_from: 3 x 3 direction of the scan whose axes are to be reordered (the query).
        direction_to: 3 x 3 direction to follow (the support).

    Returns:
        axes and flips as `Reorientation` takes them.
    """
    cosines = np.asarray(direction_to).T @ np.asarray(direction_from)
    best_axes, best_trace = (0, 1, 2), -np.inf
    for axes in itertools.permutations(range(3)):
        # For a given order the best sign of each axis is its cosine's: 6 orders stand for all 48 candidates.
        trace = sum(abs(cosines[j, axes[j]]) for j in range(3))
        if trace > best_trace + 1e-6:  # rounding must not decide a tie
            best_axes, best_trace = (axes[0], axes[1], axes[2]), trace
    flips = [bool(cosines[j, best_axes[j]] < -1e-6) for j in range(3)]
    return best_axes, (flips[0], flips[1], flips[2])


def reorient(volume: Volume, axes: Axes, flips: Flips) -> Volume:
    """`Reorientation(axes, flips).apply(volume)`, if the way back is not needed."""
    return Reorientation(axes, flips).apply(volume)


def axis_letters(direction: Matrix) -> str:
    """Nearest anatomical direction of each stored axis (x, y, z): three of L R P A S I, as in LAS."""
    letters = ""
    for column in np.asarray(direction).T:
        axis = int(np.abs(column).argmax())
        letters += ("LPS" if column[axis] > 0 else "RAI")[axis]
    return letters


def slice_axis(spacing_mm: tuple[float, float, float]) -> int:
    """The stored axis (0, 1, 2 for x, y, z) across which a scan was acquired slice by slice.

    It is the coarsest one if its spacing is at least 1.5 times the next coarsest, else the third.
    """
    order = np.argsort(spacing_mm)
    coarsest, next_coarsest = int(order[2]), int(order[1])
    # 1e-5: spacings are stored as float32, and 1.8 over 1.2 must count as 1.5.
    if spacing_mm[coarsest] >= COARSENESS * spacing_mm[next_coarsest] * (1 - 1e-5):
        return coarsest
    return 2


def slice_first(volume: Volume) -> Reorientation:
    """Bring the slice axis to stored axis 2 (array axis 0); the other two keep their order, nothing is flipped."""
    across = slice_axis(volume.spacing_mm)
    first, second = (axis for axis in range(3) if axis != across)
    return Reorientation((first, second, across))


def align_query(support: Volume, query: Volume) -> tuple[Reorientation, list[str]]:
    """Reorder and flip the query's stored axes so that they run as the support's do.

    Args:
        support: a support scan that is slice-first already (see `slice_first`).
        query: a scan in any orientation.

    Returns:
        How to reorient the query, and warnings for the user (none or one): the query was acquired in another plane
        than the support, so that its slices are cut across its own.
    """
    reorientation = Reorientation(*signed_permutation(query.direction, support.direction))
    spacing = tuple(query.spacing_mm[axis] for axis in reorientation.axes)
    if slice_axis((spacing[0], spacing[1], spacing[2])) == 2:
        return reorientation, []
    return reorientation, [
        "the query was acquired in another plane than the support: its coarsest axis lies in the support's slice plane "
        f"(support {_millimetres(support.spacing_mm)}, query {_millimetres(spacing)} along the same axes)"
    ]


def align_labels(
    image: Volume,
    labels: Volume,
    *,
    trust: bool = False,
    image_name: str = "",
    labels_name: str = "",
    notes: list[str] | None = None,
) -> Volume:
    """Bring a label map onto its image's grid, if it is flipped, permuted, cropped or padded; refuse others.

    Args:
        image: the scan.
        labels: a label map whose voxels coincide with the scan's (as 3D Slicer exports it), within 0.05 voxel.
        trust: ignore the header of a label map of the image's size, and take it as lying on the image's grid.
        image_name: how to call the image in errors, for instance its path.
        labels_name: how to call the label map in errors.
        notes: gets a remark if the label map covers only a part of the image.

    Returns:
        Labels on the image's grid, of the labels' type; 0 where the label map doesn't reach.

    Raises:
        InputError: same size but elsewhere in space, another lattice, or labelled voxels outside the image.
    """
    image_name, labels_name = image_name or "the image", labels_name or "the label map"
    placed = _place(image, labels)
    shifted = False
    if placed is not None:
        array, start = placed
        # A map of the image's size that is shifted by whole voxels is not a crop: one of the headers is wrong.
        shifted = array.shape == image.array_zyx.shape and any(start)
        if not shifted:
            pasted = _paste(image, array, start, image_name, labels_name)
            if notes is not None:
                notes += _part_covered(image, array, start, labels_name)
            return image.with_array(pasted)
    same_size = labels.size_xyz == image.size_xyz
    if same_size and trust:
        return image.with_array(labels.array_zyx)
    if same_size or shifted:
        offset = (
            largest_offset_mm(image, labels) if same_size else float(np.linalg.norm(np.array(start) * image.spacing_mm))
        )
        raise InputError(
            f"{labels_name} has the size of {image_name} but lies elsewhere: voxels are up to {offset:.4g} mm apart",
            "is this the label map of this scan? if so, correct its header; trust_grid=True ignores the header, but "
            "then a label map of another scan goes unnoticed",
            code="label-grid",
        )
    raise InputError(
        f"{labels_name} (size {labels.size_xyz}, spacing {_millimetres(labels.spacing_mm)}) is not on the grid "
        f"of {image_name} (size {image.size_xyz}, spacing {_millimetres(image.spacing_mm)})",
        "is this the label map of this scan? if so, resample it onto the scan's grid (nearest neighbour)",
    )


def _place(image: Volume, labels: Volume) -> tuple[Array, tuple[int, int, int]] | None:
    """The labels along the image's axes and the image index (x, y, z) of their first voxel; None off the grid."""
    turned = reorient(labels, *signed_permutation(labels.direction, image.direction))
    size = np.array(turned.size_xyz)
    to_image = np.linalg.inv(image.affine) @ turned.affine
    middle = (size - 1) / 2
    start = np.rint(to_image[:3, :3] @ middle + to_image[:3, 3] - middle)
    corners = np.array(list(itertools.product(*((0, length - 1) for length in size))), dtype=np.float64)
    landed = corners @ to_image[:3, :3].T + to_image[:3, 3]
    if np.abs(landed - corners - start).max() > LATTICE_TOLERANCE_VOXELS:
        return None
    return turned.array_zyx, (int(start[0]), int(start[1]), int(start[2]))


def _part_covered(image: Volume, array: Array, start: tuple[int, int, int], labels_name: str) -> list[str]:
    """A remark on labels that begin at image index `start` (x, y, z), unless they cover the whole image."""
    covered = [
        max(0, min(begin + length, full) - max(begin, 0))
        for begin, length, full in zip(start, reversed(array.shape), image.size_xyz, strict=True)
    ]
    if tuple(covered) == image.size_xyz:
        return []
    part, whole = (" x ".join(map(str, size)) for size in (covered, image.size_xyz))
    return [f"{labels_name} covers {part} of {whole} voxels; the rest is taken as background"]


def _paste(image: Volume, array: Array, start: tuple[int, int, int], image_name: str, labels_name: str) -> Array:
    """Labels that begin at image index `start` (x, y, z), on the image's array."""
    target: list[slice] = []
    source: list[slice] = []
    for begin, length, full in zip(reversed(start), array.shape, image.array_zyx.shape, strict=True):
        first, last = max(begin, 0), min(begin + length, full)
        target.append(slice(first, max(first, last)))
        source.append(slice(first - begin, max(first, last) - begin))
    inside = array[tuple(source)]
    outside = int(np.count_nonzero(array)) - int(np.count_nonzero(inside))
    if outside:
        raise InputError(
            f"{labels_name} has {outside} labelled voxels outside {image_name}",
            "is this the label map of this scan? if so, erase these voxels",
        )
    result = np.zeros(image.array_zyx.shape, dtype=array.dtype)
    result[tuple(target)] = inside
    return result


def largest_offset_mm(image: Volume, labels: Volume) -> float:
    """Largest distance in mm between voxels of the same index, on lattices of one size."""
    corners = np.array(list(itertools.product(*((0, length - 1) for length in image.size_xyz), [1])))
    return float(np.linalg.norm(corners @ (image.affine - labels.affine).T, axis=1).max())


def _millimetres(spacing_mm: tuple[float, ...]) -> str:
    return " x ".join(f"{step:.5g}" for step in spacing_mm) + " mm"


@dataclass(frozen=True)
class CropPad:
    """How `center_crop_pad` changed rows and columns.

    Attributes:
        original_yx: rows and columns before.
        size_yx: rows and columns after.
    """

    original_yx: tuple[int, int]
    size_yx: tuple[int, int]

    @property
    def start_yx(self) -> tuple[int, int]:
        """Row and column of the original (negative where padded) at which the result begins."""
        rows, columns = (
            (have - want) // 2 if have > want else -((want - have) // 2)
            for have, want in zip(self.original_yx, self.size_yx, strict=True)
        )
        return rows, columns

    def undo(self, array: Array, fill: float = 0) -> Array:
        """Bring (..., y, x) back to the original rows and columns; what was cropped away becomes `fill`."""
        if array.shape[-2:] != self.size_yx:
            raise InputError(
                f"expected rows and columns {self.size_yx}, got {array.shape[-2:]}", "give the array that was cropped"
            )
        return _center_fit(array, self.original_yx, fill)


def center_crop_pad(array_zyx: Array, size_yx: tuple[int, int], fill: float) -> tuple[Array, CropPad]:
    """Crop or pad rows and columns about the centre, each on its own.

    Args:
        array_zyx: (..., y, x).
        size_yx: rows and columns wanted.
        fill: value of padded pixels.

    Returns:
        (..., *size_yx), of the same type, and how to go back. Of an odd difference, the greater half is taken from
        or added to the end.

    Raises:
        InputError: a size is below 1.
    """
    if min(size_yx) < 1:
        raise InputError(f"can't crop to {size_yx} rows and columns", "give positive sizes")
    rows, columns = array_zyx.shape[-2:]
    return _center_fit(array_zyx, size_yx, fill), CropPad((rows, columns), size_yx)


def center_crop_pad_volume(volume: Volume, size_yx: tuple[int, int], fill: float) -> Volume:
    """`center_crop_pad` of a scan's slices; its origin moves along, so that every voxel stays where it is."""
    array, change = center_crop_pad(volume.array_zyx, size_yx, fill)
    rows, columns = change.start_yx
    x, y, z = (volume.affine @ (columns, rows, 0, 1))[:3].tolist()
    return Volume(array, volume.spacing_mm, (x, y, z), volume.direction)


def _center_fit(array: Array, size_yx: tuple[int, int], fill: float) -> Array:
    result = np.full((*array.shape[:-2], *size_yx), fill, dtype=array.dtype)
    source: list[slice] = []
    target: list[slice] = []
    for have, want in zip(array.shape[-2:], size_yx, strict=True):
        kept = min(have, want)
        # Both starts are halves rounded down, so that undoing is doing it with the sizes swapped.
        source.append(slice((have - kept) // 2, (have - kept) // 2 + kept))
        target.append(slice((want - kept) // 2, (want - kept) // 2 + kept))
    (target_rows, target_columns), (source_rows, source_columns) = target, source
    result[..., target_rows, target_columns] = array[..., source_rows, source_columns]
    return result
