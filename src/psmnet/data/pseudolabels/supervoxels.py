"""Supervoxels: 3D regions of the body as pseudo-labels, so that a target continues over slices."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from psmnet.errors import InputError
from psmnet.volume import Array

SCALE = 1.0  # Hansen et al., Medical Image Analysis 78 (2022); no smoothing before
CHUNK = 1 << 22  # edges handled at once; the result doesn't depend on it

Ids = npt.NDArray[np.int32]


def supervoxel_volume(array_zyx: Array, body: npt.NDArray[np.bool_], min_size: int) -> npt.NDArray[np.int32]:
    """Felzenszwalb supervoxels inside the body, of intensities of any scale.

    Args:
        array_zyx: (Z, Y, X), any real type; brought to 0..255 between its 0.5th and 99.5th percentile.
        body: (Z, Y, X) bool.
        min_size: smallest supervoxel in voxels; published are 5000 for the abdomen and 1000 for the heart.

    Returns:
        (Z, Y, X) int32: 0 outside the body, ids 1..K inside, contiguous, none empty.

    Raises:
        InputError: as `felzenszwalb_3d`.

    Reference:
        Hansen et al., Medical Image Analysis 78 (2022).
    """
    return felzenszwalb_3d(_to_bytes(array_zyx), scale=SCALE, min_size=min_size, mask=body)


def _to_bytes(array_zyx: Array) -> npt.NDArray[np.uint8]:
    low, high = np.percentile(array_zyx, (0.5, 99.5))
    scaled = (np.clip(array_zyx, low, high).astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    grey: npt.NDArray[np.uint8] = np.rint(scaled).astype(np.uint8)
    return grey


def felzenszwalb_3d(
    array_zyx: Array, *, scale: float, min_size: int, mask: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int32]:
    """Graph segmentation of a volume over the six-neighbourhood.

    An edge has the difference of its voxels as weight, whatever their distance. Weighted by distance, regions leak from
    slice to slice where slices are thick, and networks trained on them were worse (docs/decisions.md) [ours].

    The result equals the sequential algorithm's; all edges of equal weight are merged at once.

    Args:
        array_zyx: (Z, Y, X) uint8.
        scale: the larger, the larger the components; a component C takes edges up to Int(C) + scale / |C|, Int being
            the largest edge within.
        min_size: components of fewer voxels join the neighbour across their lowest edge. One without neighbours stays.
        mask: (Z, Y, X) bool; no edge leaves it. None: the whole volume.

    Returns:
        (Z, Y, X) int32: 0 outside the mask, ids 1..K inside, contiguous, none empty.

    Raises:
        InputError: the array is not 3D uint8, or the mask is of another shape.

    Reference:
        Felzenszwalb and Huttenlocher, IJCV 59 (2004).
    """
    if array_zyx.ndim != 3 or array_zyx.dtype != np.uint8:
        raise InputError(f"expected a 3D uint8 array, got {array_zyx.dtype} {array_zyx.shape}", "scale it to 0..255")
    inside = np.ones(array_zyx.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if inside.shape != array_zyx.shape:
        raise InputError(f"mask of shape {inside.shape} for an array of {array_zyx.shape}", "keep the lattice")
    edges = _Edges(array_zyx, inside)
    parts = _Parts(array_zyx.size)
    _grow(edges, parts, scale)
    if min_size > 1:
        _absorb_small(edges, parts, min_size)
    roots = parts.roots(np.arange(array_zyx.size, dtype=np.int32)).reshape(array_zyx.shape)
    is_root = np.zeros(array_zyx.size, dtype=bool)
    is_root[roots[inside]] = True
    return np.where(inside, np.cumsum(is_root, dtype=np.int32)[roots], np.int32(0))


class _Edges:
    """The edges inside the mask, grouped by weight; an edge is its axis and its lower voxel (flat index)."""

    def __init__(self, array_zyx: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_]) -> None:
        voxel = np.arange(array_zyx.size, dtype=np.int32).reshape(array_zyx.shape)
        self.lower: list[Ids] = []
        self.strides: list[int] = []
        groups: dict[int, list[tuple[int, slice]]] = {}
        for axis in range(3):
            near, far = (np.moveaxis(array_zyx, axis, 0)[part] for part in (slice(-1), slice(1, None)))
            both = np.logical_and(*(np.moveaxis(inside, axis, 0)[part] for part in (slice(-1), slice(1, None))))
            difference = (np.maximum(near, far) - np.minimum(near, far))[both]
            # A stable sort of bytes is a counting sort.
            self.lower.append(np.moveaxis(voxel, axis, 0)[:-1][both][np.argsort(difference, kind="stable")])
            self.strides.append(int(np.prod(array_zyx.shape[axis + 1 :])))
            counts = np.bincount(difference, minlength=256)
            ends = np.cumsum(counts)
            for weight in np.flatnonzero(counts).tolist():
                groups.setdefault(weight, []).append((axis, slice(ends[weight] - counts[weight], ends[weight])))
        self.levels = sorted(groups.items())  # weight, (axis, where in `lower`) of its edges

    def chunks(self, group: list[tuple[int, slice]]) -> Iterator[tuple[int, Ids, Ids]]:
        """Axis, lower and upper voxels of a level's edges."""
        for axis, where in group:
            for start in range(where.start, where.stop, CHUNK):
                lower = self.lower[axis][start : min(start + CHUNK, where.stop)]
                yield axis, lower, lower + np.int32(self.strides[axis])


class _Parts:
    """Components as a forest over the voxels; `size` holds at the roots."""

    def __init__(self, count: int) -> None:
        self.parent = np.arange(count, dtype=np.int32)
        self.size = np.ones(count, dtype=np.int32)

    def roots(self, voxels: Ids) -> Ids:
        """The components of voxels; the paths to them are shortened."""
        found = self.parent[voxels]
        while True:
            above = self.parent[found]
            if np.array_equal(above, found):
                self.parent[voxels] = found
                return found
            found = above


def _grow(edges: _Edges, parts: _Parts, scale: float) -> None:
    """Merge components wherever both take the edge, from the lowest weight up.

    Within a level the order doesn't matter: what merges has Int = weight and takes this level's other edges too, and
    what doesn't take an edge of this weight never grows again. So a level's merged components are the connected
    components of the edges that both ends take.
    """
    count = len(parts.parent)
    takes = np.full(count, scale, dtype=np.float64)  # Int(C) + scale / |C|, at the roots
    number, touched = np.empty(count, dtype=np.int32), np.zeros(count, dtype=bool)
    highest = float(scale)
    for weight, group in edges.levels:
        if weight > highest:
            break  # nothing takes this edge or a later one
        for _, lower, upper in edges.chunks(group):
            a, b = parts.roots(lower), parts.roots(upper)
            use = (a != b) & (weight <= takes[a]) & (weight <= takes[b])
            if not use.any():
                continue
            a, b = a[use], b[use]
            touched[a] = touched[b] = True
            nodes = np.flatnonzero(touched).astype(np.int32)
            touched[nodes] = False
            number[nodes] = np.arange(len(nodes), dtype=np.int32)
            graph = coo_array((np.ones(len(a), np.int8), (number[a], number[b])), shape=(len(nodes), len(nodes)))
            groups, label = connected_components(graph, directed=False)
            size = np.bincount(label, parts.size[nodes], groups).astype(np.int32)
            top = np.empty(groups, dtype=np.int32)
            top[label[::-1]] = nodes[::-1]  # the last write holds: the first voxel
            parts.parent[nodes] = top[label]
            parts.size[top] = size
            takes[top] = weight + scale / size
            highest = max(highest, float(takes[top].max()))


def _absorb_small(edges: _Edges, parts: _Parts, min_size: int) -> None:
    """Merge components across edges, from the lowest weight up, wherever one of the two is too small.

    Here the order within a level matters, and it is a fixed shuffle (`_shuffle`) where the sequential algorithm has
    that of its sort. Each round merges all edges that are the first of each of their small ends. That is what going
    edge by edge gives: until such an edge's turn comes nothing can change its small ends, and a large end stays large.
    A shuffle needs few rounds; along rows, one voxel after the other would wait for its neighbour.
    """
    first = np.empty(len(parts.parent), dtype=np.int32)
    size = parts.size
    for _, group in edges.levels:
        waiting = []
        for axis, lower, upper in edges.chunks(group):
            a, b = parts.roots(lower), parts.roots(upper)
            use = (a != b) & ((size[a] < min_size) | (size[b] < min_size))
            waiting.append((a[use], b[use], _shuffle(lower[use], axis)))
        a, b, turn = (np.concatenate(part) for part in zip(*waiting, strict=True))
        order = np.argsort(turn, kind="stable")
        a, b = a[order], b[order]
        rounds = 0
        while len(a):
            rounds += 1
            if rounds & (rounds - 1) == 0:  # now and then: of edges between the same two only the first counts
                low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b)
                _, kept = np.unique(low * len(parts.parent) + high, return_index=True)
                kept.sort()
                a, b = a[kept], b[kept]
            position = np.arange(len(a), dtype=np.int32)
            # Written backwards, so that the first edge of each component is what stays.
            first[np.stack((a, b), axis=1).ravel()[::-1]] = np.repeat(position[::-1], 2)
            small_a, small_b = size[a] < min_size, size[b] < min_size
            now = (~small_a | (first[a] == position)) & (~small_b | (first[b] == position))
            child = np.where(small_b[now], b[now], a[now])
            root = np.where(small_b[now], a[now], b[now])
            parts.parent[child] = root  # a child is small and in one such edge; a root is in several only if large
            np.add.at(size, root, size[child])
            a, b = parts.parent[a], parts.parent[b]
            use = (a != b) & ((size[a] < min_size) | (size[b] < min_size))
            a, b = a[use], b[use]


def _shuffle(lower: Ids, axis: int) -> npt.NDArray[np.uint32]:
    """A number for each edge that looks random and is the same everywhere: multiplications and shifts of its index."""
    mixed = lower.astype(np.uint32) * np.uint32(3) + np.uint32(axis)
    for factor, shift in ((0x9E3779B1, 15), (0x85157AF5, 13), (0x58F38DED, 16)):
        mixed = mixed * np.uint32(factor)
        mixed ^= mixed >> np.uint32(shift)
    return mixed
