"""Mask of the body in a scan: CT with its table, noisy MR, fields of view smaller than the body."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from psmnet.volume.volume import Array, Mask

# All [ours], chosen by eye on the scans of CHAOS and a CT. Shares, not mm, where possible: spacings may be wrong.
OPENING_MM = 3.0  # shells of tables, tubes and blankets are thinner than twice this, chest walls thicker
OPENING_SHARE = 0.02  # the opening's radius is at most this share of a slice's shorter side
PART_SHARE = 0.01  # of the largest part, in area and in volume: a forearm has 2 to 3 %, remains of a table less
SLAB_RADIUS, SLAB_DISC = 0.4, 0.2  # a table's largest disc is under 0.4 of the trunk's, and under 0.2 of its own area
NEAR_MM = 20.0  # along the slices: how far to look for outside air around a hole
LOG_OFFSET = 0.02  # of the range of intensities: below it differences are noise in air
FILLED_BORDER = 0.75  # with this share of the border inside the body, what is dark at the border is tissue

IN_PLANE = np.stack([np.zeros((3, 3), bool), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3), bool)])


def body_mask(array_zyx: Array, threshold: float | None, spacing_mm: tuple[float, float, float]) -> Mask:
    """Mask of the body, with its lungs and gas, without the table and the air around it.

    Per slice, what is above the threshold is filled and opened with a disc, which removes a thin table. Of the
    remaining parts, trunk, arms and legs are kept and slabs removed; then what the opening took is added again.

    Args:
        array_zyx: (Z, Y, X), slices across the body.
        threshold: the body is above it. None: Otsu's threshold on logarithms, for MR and CT of any scale.
        spacing_mm: (x, y, z).

    Returns:
        (Z, Y, X) bool; a slice with nothing above the threshold is all False.
    """
    above: Mask = array_zyx > (_above_air(array_zyx) if threshold is None else threshold)
    sampling = spacing_mm[1], spacing_mm[0]
    shorter_mm = min(size * mm for size, mm in zip(above.shape[1:], sampling, strict=True))
    radius_mm = min(OPENING_MM, OPENING_SHARE * shorter_mm)
    reach = max(1, round(NEAR_MM / spacing_mm[2]))

    solid = _fill(above, reach)
    kept = _parts_of_body(_open(solid, sampling, radius_mm), sampling)
    # A table is at the same place in all slices. Where it touches the body so broadly that the opening can't separate
    # them, the other slices show what is table.
    table = _lasting(solid & ~_grow_back(kept, solid, sampling, radius_mm), solid)
    if (kept & table).any():
        solid = _fill(above & ~table, reach)
        kept = _parts_of_body(_open(solid, sampling, radius_mm), sampling)
    body = _grow_back(kept, solid, sampling, radius_mm)
    return _with_cut_off_tissue(body)


def _above_air(array_zyx: Array) -> float:
    """Otsu's threshold on logarithms: on intensities, bright organs and fluid would pull it into the body."""
    low, high = (float(value) for value in np.percentile(array_zyx, (0.5, 99.5)))
    if not high > low:
        return low
    share = (np.clip(array_zyx, low, high) - low) / (high - low)
    return low + (high - low) * (float(np.exp(threshold_otsu(np.log(share + LOG_OFFSET)))) - LOG_OFFSET)


def _fill(above: Mask, reach: int) -> Mask:
    """Fill holes in a slice, except outside air that is enclosed by chance, as between arm and trunk.

    A hole is outside air if most of it is outside, on average over the slices within reach. Per slice, since one
    slice with a gap in the chest wall would otherwise empty the lung.
    """
    holes_and_air, _ = ndimage.label(~above, IN_PLANE)
    at_border = np.zeros(int(holes_and_air.max()) + 1, dtype=bool)
    for edge in _edges(holes_and_air):
        at_border[edge] = True
    air = at_border[holes_and_air] & ~above
    near = ndimage.uniform_filter1d(air.astype(np.float32), 2 * reach + 1, axis=0, mode="nearest")
    numbers = holes_and_air.ravel()
    outside = np.bincount(numbers, near.ravel()) > 0.5 * np.bincount(numbers)
    filled: Mask = above | ~(at_border | outside)[holes_and_air]
    return filled


def _edges(array_zyx: Array) -> tuple[Array, Array, Array, Array]:
    return array_zyx[:, 0], array_zyx[:, -1], array_zyx[:, :, 0], array_zyx[:, :, -1]


def _distance(slice_yx: Mask, sampling: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Distance in mm to the nearest False; infinite where there is none."""
    if slice_yx.all():
        return np.full(slice_yx.shape, np.inf)
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(slice_yx, sampling)
    return distance


def _open(solid: Mask, sampling: tuple[float, float], radius_mm: float) -> Mask:
    """Opening by a disc in each slice, not eroded from the image border; skipped if it would remove everything."""
    if radius_mm < min(sampling):
        return solid
    opened = np.zeros_like(solid)
    for index in np.flatnonzero(solid.any(axis=(1, 2))):
        inner = _distance(solid[index], sampling) > radius_mm
        if inner.any():
            opened[index] = (_distance(~inner, sampling) <= radius_mm) & solid[index]
    return opened if opened.any() else solid


def _parts_of_body(core: Mask, sampling: tuple[float, float]) -> Mask:
    """Choose the parts of slices (2D components) that are the body."""
    parts, count = ndimage.label(core, IN_PLANE)
    if count == 0:
        return core
    area = np.bincount(parts.ravel())[1:] * np.prod(sampling)
    radius = np.zeros(count)
    for slice_parts in parts:
        distance = _distance(np.pad(slice_parts > 0, 1), sampling)[1:-1, 1:-1]
        np.maximum.at(radius, slice_parts[slice_parts > 0] - 1, distance[slice_parts > 0])
    slab = (radius < SLAB_RADIUS * radius.max()) & (np.pi * radius**2 < SLAB_DISC * area)
    large = ~slab & (area >= PART_SHARE * area.max())

    def chosen(which: npt.NDArray[np.bool_]) -> Mask:
        mask: Mask = np.concatenate(([False], which))[parts]
        return mask

    components, _ = ndimage.label(chosen(large))
    volume = np.bincount(components.ravel())
    volume[0] = 0
    kept: Mask = (volume >= max(1, PART_SHARE * volume.max()))[components]
    # The first and last slices of the body may be small, such as the top of a head.
    beside = np.zeros_like(kept)
    beside[1:] |= kept[:-1]
    beside[:-1] |= kept[1:]
    small_beside = np.zeros(count + 1, dtype=bool)
    small_beside[parts[beside]] = True
    return kept | chosen(small_beside[1:] & ~large & ~slab)


def _grow_back(kept: Mask, solid: Mask, sampling: tuple[float, float], radius_mm: float) -> Mask:
    """Grow by the disc's radius within the solid parts, so that skin folds and ears return and a table doesn't."""
    steps = int(radius_mm / min(sampling))
    if steps == 0 or not kept.any():
        return kept
    grown: Mask = ndimage.binary_dilation(kept, IN_PLANE, iterations=steps, mask=solid)
    return grown


def _lasting(left_out: Mask, solid: Mask) -> Mask:
    """(1, Y, X): left out in at least a quarter of the slices, and in more than half of those that are solid there."""
    votes, present = left_out.sum(axis=0), solid.sum(axis=0)
    lasting: Mask = (votes >= max(2.0, len(solid) / 4)) & (votes > present / 2)
    return lasting[None]


def _with_cut_off_tissue(body: Mask) -> Mask:
    """Take a slice as all body if most of its border is body: what is dark there is a lung cut off, not air."""
    share = np.concatenate(_edges(body), axis=1).mean(axis=1)
    whole: Mask = body | (share >= FILLED_BORDER)[:, None, None]
    return whole
