from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage

from psmnet.data.pseudolabels.supervoxels import _shuffle, felzenszwalb_3d, supervoxel_volume
from psmnet.errors import InputError


def sequential(array: np.ndarray, scale: float, min_size: int, mask: np.ndarray) -> np.ndarray:
    """Felzenszwalb and Huttenlocher's algorithm edge by edge; at equal weight in the order of `_shuffle`."""
    parent = list(range(array.size))

    def root(voxel: int) -> int:
        while parent[voxel] != voxel:
            parent[voxel] = parent[parent[voxel]]
            voxel = parent[voxel]
        return voxel

    edges = []
    for axis in range(3):
        for index in np.ndindex(array.shape):
            after = tuple(i + (a == axis) for a, i in enumerate(index))
            if after[axis] < array.shape[axis] and mask[index] and mask[after]:
                weight = abs(float(array[index]) - float(array[after]))
                lower, upper = (int(np.ravel_multi_index(i, array.shape)) for i in (index, after))
                turn = int(_shuffle(np.array([lower], np.int32), axis)[0])
                edges.append((weight, turn, lower, upper))
    edges.sort()
    size, internal = [1] * array.size, [0.0] * array.size
    for weight, _, lower, upper in edges:
        a, b = root(lower), root(upper)
        if a != b and weight <= min(internal[a] + scale / size[a], internal[b] + scale / size[b]):
            parent[b], size[a], internal[a] = a, size[a] + size[b], weight
    for _, _, lower, upper in edges:
        a, b = root(lower), root(upper)
        if a != b and min(size[a], size[b]) < min_size:
            parent[b], size[a] = a, size[a] + size[b]
    return np.array([root(v) + 1 for v in range(array.size)]).reshape(array.shape) * mask


def by_first_voxel(ids: np.ndarray) -> np.ndarray:
    """The same partition, numbered in the order of appearance; 0 stays."""
    numbers: dict[int, int] = {0: 0}
    return np.array([numbers.setdefault(int(i), len(numbers)) for i in ids.ravel()]).reshape(ids.shape)


def assert_same_partition(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(by_first_voxel(found), by_first_voxel(expected))


def noise(seed: int, shape: tuple[int, int, int] = (5, 7, 6), levels: int = 256) -> np.ndarray:
    """Smooth enough for components of many sizes, with few levels so that ties abound."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.standard_normal(shape), 0.7)
    return np.uint8((smooth - smooth.min()) / np.ptp(smooth) * (levels - 1))


# ---- the partition ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 40.0, 400.0])
@pytest.mark.parametrize("min_size", [1, 12])
def test_it_is_the_sequential_algorithms(seed, masked, scale, min_size):
    array = noise(seed, levels=(256, 40, 12, 5)[seed])
    mask = np.random.default_rng(seed).random(array.shape) < 0.8 if masked else np.ones(array.shape, bool)
    found = felzenszwalb_3d(array, scale=scale, min_size=min_size, mask=mask if masked else None)
    assert_same_partition(found, sequential(array, scale, min_size, mask))


def test_the_examples_above_are_neither_one_part_nor_all_single_voxels():
    counts = [felzenszwalb_3d(noise(s), scale=k, min_size=1).max() for s in (0, 1) for k in (40, 400)]
    assert all(1 < count < 150 for count in counts), counts
    assert felzenszwalb_3d(noise(0), scale=1, min_size=12).max() > 1


@pytest.mark.parametrize("chunk", [1, 7])
def test_the_partition_does_not_depend_on_how_many_edges_are_handled_at_once(chunk, monkeypatch):
    array = noise(3, levels=12)
    settings = {"scale": 40.0, "min_size": 12}
    expected = felzenszwalb_3d(array, **settings)
    monkeypatch.setattr("psmnet.data.pseudolabels.supervoxels.CHUNK", chunk)
    assert_same_partition(felzenszwalb_3d(array, **settings), expected)


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_turning_the_volume_turns_the_partition(axes, flips):
    array = noise(5, levels=30)
    expected = felzenszwalb_3d(array, scale=40, min_size=1)

    def turn(volume: np.ndarray) -> np.ndarray:
        return np.flip(volume.transpose(axes), flips)

    assert_same_partition(felzenszwalb_3d(turn(array), scale=40, min_size=1), turn(expected))


@pytest.mark.parametrize("min_size", [2, 30, 200, 10_000])
def test_none_that_has_a_neighbour_is_too_small(min_size):
    random = np.random.default_rng(0)
    array = random.integers(0, 256, (10, 20, 20), dtype=np.uint8)
    mask = np.ones(array.shape, bool)
    mask[:, 8] = mask[:, :4, 3] = False  # a wall, and a part of 120 voxels behind another
    ids = felzenszwalb_3d(array, scale=1, min_size=min_size, mask=mask)
    islands, count = ndimage.label(mask)
    assert count == 2
    for number in np.unique(ids[mask]):
        (island,) = np.unique(islands[ids == number])
        assert (ids == number).sum() >= min(min_size, (islands == island).sum())
        assert ndimage.label(ids == number)[1] == 1


def test_an_island_that_is_too_small_stays():
    array = np.zeros((1, 1, 6), np.uint8)
    mask = np.array([[[True, True, False, True, False, True]]])
    assert felzenszwalb_3d(array, scale=1, min_size=4, mask=mask).tolist() == [[[1, 1, 0, 2, 0, 3]]]


# ---- worked out by hand ----------------------------------------------------------------------------------------


def test_two_blocks_are_two_parts():
    array = np.full((4, 6, 8), 60, np.uint8)
    array[:, :, 3:] = 180
    ids = felzenszwalb_3d(array, scale=1, min_size=50)
    assert len(np.unique(ids[:, :, :3])) == len(np.unique(ids[:, :, 3:])) == 1
    assert ids[0, 0, 0] != ids[0, 0, 7]


def test_two_blocks_of_which_one_is_too_small_are_one():
    array = np.full((4, 6, 8), 60, np.uint8)
    array[:, :, 3:] = 180
    assert felzenszwalb_3d(array, scale=1, min_size=4 * 6 * 3 + 1).max() == 1


def test_two_voxels_merge_if_their_difference_is_at_most_the_scale():
    for shape in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        pair = np.array([100, 110], np.uint8).reshape(shape)
        assert felzenszwalb_3d(pair, scale=9.99, min_size=1).max() == 2
        assert felzenszwalb_3d(pair, scale=10, min_size=1).max() == 1


def test_a_component_takes_edges_up_to_its_largest_and_scale_by_size():
    # Level 2: 10 and 12 merge (2 <= 0 + 9 / 1), Int = 2, so that they take edges up to 2 + 9 / 2 = 6.5.
    for far, parts in ((18, 1), (19, 2)):
        row = np.array([[[10, 12, far]]], np.uint8)
        assert felzenszwalb_3d(row, scale=9, min_size=1).max() == parts


def test_a_small_part_joins_across_its_lowest_edge():
    row = np.array([[[0, 0, 0, 40, 100, 100, 100]]], np.uint8)
    assert felzenszwalb_3d(row, scale=1, min_size=2).tolist() == [[[1, 1, 1, 1, 2, 2, 2]]]


def test_a_dark_sphere_in_noise_is_found_through_thick_slices():
    z, y, x = np.ogrid[-8:9, -24:25, -24:25]
    sphere = (3 * z) ** 2 + y**2 + x**2 <= 16**2
    random = np.random.default_rng(0)
    array = np.where(sphere, 60.0, 140.0) + ndimage.gaussian_filter(random.normal(0, 12, sphere.shape), 1)
    ids = supervoxel_volume(array, np.ones(sphere.shape, bool), int(sphere.sum() * 0.6))
    found = ids == ids[8, 24, 24]
    assert 2 * (found & sphere).sum() / (found.sum() + sphere.sum()) > 0.95


# ---- forms of input --------------------------------------------------------------------------------------------


def test_ids_are_contiguous_inside_the_mask_and_zero_outside():
    array = noise(1, (6, 20, 20))
    mask = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(array.shape), 1.5) > 0
    ids = felzenszwalb_3d(array, scale=1, min_size=20, mask=mask)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids > 0, mask)
    np.testing.assert_array_equal(np.unique(ids), np.arange(ids.max() + 1))
    assert ids.max() > 3


@pytest.mark.parametrize("min_size", [1, 100])
def test_an_empty_mask_gives_zeros(min_size):
    ids = felzenszwalb_3d(noise(0), scale=1, min_size=min_size, mask=np.zeros((5, 7, 6), bool))
    assert ids.dtype == np.int32
    assert not ids.any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (3, 1, 1), (4, 5, 6)])
def test_a_constant_volume_of_any_shape_is_one_part(shape):
    assert (felzenszwalb_3d(np.full(shape, 7, np.uint8), scale=0, min_size=5) == 1).all()
    assert (supervoxel_volume(np.full(shape, -7.5, np.float32), np.ones(shape, bool), 5) == 1).all()


def test_arrays_in_another_memory_order_give_the_same():
    array = noise(2)
    expected = felzenszwalb_3d(array, scale=40, min_size=12)
    for same in (np.asfortranarray(array), np.repeat(array, 2, axis=2)[:, :, ::2]):
        np.testing.assert_array_equal(felzenszwalb_3d(same, scale=40, min_size=12), expected)


@pytest.mark.parametrize(
    ("array", "mask", "message"),
    [
        (np.zeros((3, 3), np.uint8), None, "3D uint8"),
        (np.zeros((3, 3, 3)), None, "float64"),
        (np.zeros((3, 3, 3), np.uint8), np.ones((3, 3, 2), bool), "mask of shape"),
    ],
)
def test_other_arrays_are_refused(array, mask, message):
    with pytest.raises(InputError, match=message):
        felzenszwalb_3d(array, scale=1, min_size=1, mask=mask)


def test_it_is_deterministic_and_leaves_its_input_alone():
    array = np.random.default_rng(0).normal(100, 30, (8, 24, 24)).astype(np.float32)
    before, body = array.copy(), array[0] > -1e9
    body = np.broadcast_to(body, array.shape)
    ids = supervoxel_volume(array, body, 100)
    np.testing.assert_array_equal(ids, supervoxel_volume(array.copy(), body, 100))
    np.testing.assert_array_equal(array, before)


def test_supervoxels_do_not_depend_on_the_scale_of_intensities():
    array = np.random.default_rng(0).normal(100, 30, (8, 24, 24)).round()
    body = np.ones(array.shape, bool)
    expected = supervoxel_volume(array, body, 100)
    assert expected.max() > 3
    np.testing.assert_array_equal(supervoxel_volume(array * 1024, body, 100), expected)  # exact in binary
