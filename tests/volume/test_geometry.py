import itertools
import math

import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.volume.geometry import (
    CropPad,
    Reorientation,
    align_labels,
    align_query,
    axis_letters,
    center_crop_pad,
    center_crop_pad_volume,
    reorient,
    signed_permutation,
    slice_axis,
    slice_first,
)
from psmnet.volume.volume import Volume

ALL_48 = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((False, True), repeat=3)
]


def rotation(degrees_x: float, degrees_z: float) -> np.ndarray:
    x, z = math.radians(degrees_x), math.radians(degrees_z)
    about_x = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    about_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    return about_z @ about_x


def scan(direction: np.ndarray | None = None) -> Volume:
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    return Volume(array, (0.7, 1.1, 5), (-100, 20, 3), rotation(20, 35) if direction is None else direction)


def permutation_matrix(axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> np.ndarray:
    matrix = np.zeros((3, 3))
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        matrix[old, new] = -1 if flip else 1
    return matrix


def positions(volume: Volume) -> dict[int, np.ndarray]:
    """Physical position of every voxel, by its (unique) value."""
    return {
        int(volume.array_zyx[z, y, x]): (volume.affine @ [x, y, z, 1])[:3]
        for z, y, x in np.ndindex(volume.array_zyx.shape)
    }


# ---- reorientation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axes", "flips"), ALL_48)
def test_every_voxel_keeps_its_position_and_undo_returns(axes, flips):
    volume = scan()
    reorientation = Reorientation(axes, flips)
    turned = reorientation.apply(volume)
    before, after = positions(volume), positions(turned)
    assert before.keys() == after.keys()
    np.testing.assert_allclose([before[k] for k in before], [after[k] for k in before], atol=1e-9)
    assert turned.array_zyx.flags.c_contiguous
    np.testing.assert_array_equal(reorientation.undo(turned.array_zyx), volume.array_zyx)
    np.testing.assert_array_equal(reorient(volume, axes, flips).affine, turned.affine)


def test_undo_keeps_leading_axes():
    reorientation = Reorientation((2, 0, 1), (True, False, True))
    array = np.random.default_rng(0).random((2, 3, 4, 5, 6))
    turned = reorientation.apply_array(array)
    np.testing.assert_array_equal(turned[1, 2], reorientation.apply_array(array[1, 2]))
    np.testing.assert_array_equal(reorientation.undo(turned), array)


def test_one_voxel_by_hand():
    # New x is old z backwards, new y is old x, new z is old y. Voxel (x, y, z) = (1, 2, 0) of size (6, 5, 4)
    # goes to (3 - 0, 1, 2).
    turned = Reorientation((2, 0, 1), (True, False, False)).apply(scan())
    assert turned.size_xyz == (4, 6, 5)
    assert turned.spacing_mm == (5, 0.7, 1.1)
    assert turned.array_zyx[2, 1, 3] == scan().array_zyx[0, 2, 1]


@pytest.mark.parametrize(("axes", "flips"), ALL_48)
@pytest.mark.parametrize("oblique", [np.eye(3), rotation(25, -20)])
def test_signed_permutation_finds_the_way_back(axes, flips, oblique):
    # The query's axes are the support's, shuffled by Q; D_q = D_s Q, and P = Q^T brings them back exactly.
    shuffled = oblique @ permutation_matrix(axes, flips)
    found = signed_permutation(shuffled, oblique)
    np.testing.assert_allclose(shuffled @ permutation_matrix(*found), oblique, atol=1e-12)


def test_signed_permutation_has_the_largest_trace_of_all_48():
    generator = np.random.default_rng(1)
    for _ in range(20):
        support, query = (np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(2))
        found = signed_permutation(query, support)
        traces = [np.trace(support.T @ query @ permutation_matrix(*candidate)) for candidate in ALL_48]
        assert np.trace(support.T @ query @ permutation_matrix(*found)) == pytest.approx(max(traces))


def test_tie_at_45_degrees_is_settled_whatever_the_rounding():
    for noise in (0, 1e-9, -1e-9):
        axes, flips = signed_permutation(rotation(0, 45 + noise), np.eye(3))
        assert (axes, flips) == ((0, 1, 2), (False, False, False))


# ---- slices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1, 1, 5), 2),
        ((5, 1, 1), 0),
        ((1, 5, 1), 1),
        ((1, 1, 1), 2),
        ((1.4, 1, 1), 2),  # 1.4 times is not enough
        ((1.5, 1, 1), 0),
        ((float(np.float32(1.8)), float(np.float32(1.2)), 1), 0),  # 1.5 times but for float32
        ((5, 4, 1), 2),  # 5 is not 1.5 times the next coarsest
    ],
)
def test_slice_axis(spacing, expected):
    assert slice_axis(spacing) == expected


@pytest.mark.parametrize(("spacing", "axes"), [((1, 2, 6), (0, 1, 2)), ((6, 1, 2), (1, 2, 0)), ((1, 6, 2), (0, 2, 1))])
def test_slice_first_keeps_the_order_of_the_others(spacing, axes):
    volume = Volume(np.zeros((4, 5, 6)), spacing)
    assert slice_first(volume) == Reorientation(axes)
    turned = slice_first(volume).apply(volume)
    assert turned.spacing_mm[2] == 6
    assert turned.array_zyx.shape[0] == volume.array_zyx.shape[2 - axes[2]]


def test_query_in_the_same_plane_needs_no_warning():
    support = Volume(np.zeros((3, 4, 5)), (1, 1, 5))
    # A query stored with its slices along x, running backwards.
    query = reorient(Volume(np.zeros((3, 4, 5)), (1, 1, 6), direction=rotation(5, 8)), (2, 0, 1), (True, False, False))
    reorientation, warnings = align_query(support, query)
    assert warnings == []
    turned = reorientation.apply(query)
    assert turned.spacing_mm == (1, 1, 6)
    np.testing.assert_allclose(turned.direction, rotation(5, 8), atol=1e-12)


def test_query_in_another_plane_is_warned_of_with_both_spacings():
    support = Volume(np.zeros((3, 4, 5)), (1, 1, 5))
    query = Volume(np.zeros((3, 4, 5)), (6, 1.25, 1.25))
    reorientation, (warning,) = align_query(support, query)
    assert reorientation == Reorientation()
    assert "1 x 1 x 5 mm" in warning
    assert "6 x 1.25 x 1.25 mm" in warning
    assert "\n" not in warning


def test_isotropic_query_needs_no_warning():
    support = Volume(np.zeros((3, 4, 5)), (1, 1, 5))
    assert align_query(support, Volume(np.zeros((3, 4, 5)))) == (Reorientation(), [])


# ---- labels ----------------------------------------------------------------------------------------------------


def labelled() -> Volume:
    array = np.zeros((4, 5, 6), np.uint16)
    array[1:3, 2:4, 3] = [[1, 2], [300, 4]]
    return scan().with_array(array)


def part(volume: Volume, begin: tuple[int, int, int], end: tuple[int, int, int]) -> Volume:
    """Voxels begin..end (x, y, z) as a volume of its own; beyond the volume they are 0."""
    size = [e - b for b, e in zip(begin, end, strict=True)]
    array = np.zeros(size[::-1], volume.array_zyx.dtype)
    for z, y, x in np.ndindex(array.shape):
        source = (z + begin[2], y + begin[1], x + begin[0])
        if all(0 <= s < n for s, n in zip(source, volume.array_zyx.shape, strict=True)):
            array[z, y, x] = volume.array_zyx[source]
    x, y, z = (volume.affine @ [*begin, 1])[:3]
    return Volume(array, volume.spacing_mm, (x, y, z), volume.direction)


@pytest.mark.parametrize(("axes", "flips"), ALL_48)
def test_permuted_and_flipped_labels_are_laid_onto_the_image(axes, flips):
    laid = align_labels(scan(), reorient(labelled(), axes, flips))
    np.testing.assert_array_equal(laid.array_zyx, labelled().array_zyx)
    np.testing.assert_array_equal(laid.affine, scan().affine)
    assert laid.array_zyx.dtype == np.uint16


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ((3, 2, 1), (4, 4, 3)),  # cropped to the labels
        ((0, 1, 0), (5, 5, 4)),
        ((-2, -3, -1), (8, 9, 5)),  # padded all round
        ((2, -3, 1), (9, 4, 3)),  # cropped here, padded there
    ],
)
@pytest.mark.parametrize(("axes", "flips"), ALL_48[::7])
def test_cropped_and_padded_labels(begin, end, axes, flips):
    laid = align_labels(scan(), reorient(part(labelled(), begin, end), axes, flips))
    np.testing.assert_array_equal(laid.array_zyx, labelled().array_zyx)


def test_header_rounding_is_tolerated_and_more_is_not():
    labels = labelled()
    for voxels, good in ((0.04, True), (0.06, False)):
        x, y, z = np.array(labels.origin_mm) + labels.direction[:, 0] * 0.7 * voxels
        moved = Volume(labels.array_zyx, labels.spacing_mm, (x, y, z), labels.direction)
        if good:
            np.testing.assert_array_equal(align_labels(scan(), moved).array_zyx, labels.array_zyx)
        else:
            assert "0.042 mm" in labels_refusal(scan(), moved)  # 0.06 voxel of 0.7 mm


def labels_refusal(image: Volume, labels: Volume, **options: bool) -> str:
    with pytest.raises(InputError) as caught:
        align_labels(image, labels, image_name="a/image.nii", labels_name="b/labels.nii", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "a/image.nii" in message
    assert "b/labels.nii" in message
    return message


def test_same_size_elsewhere_is_refused_with_the_offset_unless_trusted():
    image = Volume(np.zeros((4, 5, 6)), (1, 1, 2), (10, 20, 30))
    labels = Volume(np.ones((4, 5, 6), np.uint8), (1, 1, 2), (13, 24, 30))  # 3-4-5: 5 mm away, on the lattice
    assert "up to 5 mm apart" in labels_refusal(image, labels)
    trusted = align_labels(image, labels, trust=True)
    np.testing.assert_array_equal(trusted.array_zyx, labels.array_zyx)
    np.testing.assert_array_equal(trusted.affine, image.affine)
    # A false identity header, as the field's SABS files have it: off the lattice.
    identity = Volume(labels.array_zyx, (1, 1, 1))
    # Farthest at voxel (5, 4, 3): (15, 24, 36) against (5, 4, 3).
    assert f"up to {math.sqrt(10**2 + 20**2 + 33**2):.4g} mm" in labels_refusal(image, identity)
    np.testing.assert_array_equal(align_labels(image, identity, trust=True).array_zyx, labels.array_zyx)


def test_same_size_turned_and_shifted_is_refused_with_the_offset():
    image = Volume(np.zeros((4, 5, 6)), (1, 1, 2), (10, 20, 30))
    labels = reorient(Volume(np.ones((4, 5, 6), np.uint8), (1, 1, 2), (13, 24, 30)), (1, 2, 0), (False,) * 3)
    assert "up to 5 mm apart" in labels_refusal(image, labels)
    assert "up to 5 mm apart" in labels_refusal(image, labels, trust=True)  # (5, 4, 6) is not its size as stored


def test_trust_doesnt_undo_a_flip_that_the_header_tells_truly():
    flipped = reorient(labelled(), (0, 1, 2), (True, False, True))
    np.testing.assert_array_equal(align_labels(scan(), flipped, trust=True).array_zyx, labelled().array_zyx)


@pytest.mark.parametrize("trust", [False, True])
def test_another_lattice_is_refused_with_sizes_and_spacings(trust):
    image = Volume(np.zeros((4, 5, 6)), (1, 1, 2))
    message = labels_refusal(image, Volume(np.ones((4, 10, 12), np.uint8), (0.5, 0.5, 2)), trust=trust)
    for text in ("(12, 10, 4)", "0.5 x 0.5 x 2 mm", "(6, 5, 4)", "1 x 1 x 2 mm"):
        assert text in message
    rotated = Volume(np.ones((4, 5, 5), np.uint8), (1, 1, 2), direction=rotation(0, 30))
    assert "is not on the grid" in labels_refusal(image, rotated, trust=trust)


def test_labels_outside_the_image_are_refused_with_their_count():
    image = Volume(np.zeros((4, 5, 6)))
    array = np.zeros((6, 5, 6), np.uint8)
    array[3:, 0, :2] = 1  # slices 3, 4, 5: the last two, with 2 labelled voxels each, are not in the image
    assert "4 labelled voxels outside" in labels_refusal(image, Volume(array))
    far = Volume(np.ones((1, 1, 2), np.uint8), origin_mm=(100, -50, 0))
    assert "2 labelled voxels outside" in labels_refusal(image, far)


# ---- rows and columns ------------------------------------------------------------------------------------------


def test_crop_and_pad_by_hand():
    array = np.arange(1, 7).reshape(1, 2, 3)  # rows 1 2 3 / 4 5 6
    fitted, way_back = center_crop_pad(array, (4, 1), -1)
    assert fitted.tolist() == [[[-1], [2], [5], [-1]]]
    assert way_back == CropPad((2, 3), (4, 1))
    assert way_back.undo(fitted).tolist() == [[[0, 2, 0], [0, 5, 0]]]
    assert way_back.undo(fitted, fill=9).tolist() == [[[9, 2, 9], [9, 5, 9]]]


@pytest.mark.parametrize("have", range(1, 6))
@pytest.mark.parametrize("want", range(1, 6))
def test_undo_puts_what_was_kept_where_it_was(have, want):
    array = np.arange(1, 2 * have * 3 + 1, dtype=np.float32).reshape(2, have, 3)
    fitted, way_back = center_crop_pad(array, (want, 3), 0)
    assert fitted.shape == (2, want, 3)
    assert fitted.dtype == np.float32
    again = way_back.undo(fitted)
    kept = again != 0
    np.testing.assert_array_equal(again[kept], array[kept])
    assert np.count_nonzero(kept) == 2 * 3 * min(have, want)


def test_odd_differences_favour_the_end():
    # 257 columns to 256 drops the last one, as the field's loaders do.
    assert center_crop_pad(np.arange(257).reshape(1, 1, 257), (1, 256), 0)[0][0, 0, [0, -1]].tolist() == [0, 255]


def test_crop_refused():
    with pytest.raises(InputError, match=r"\(0, 4\)"):
        center_crop_pad(np.zeros((1, 2, 2)), (0, 4), 0)
    with pytest.raises(InputError, match=r"\(4, 4\), got \(3, 4\)"):
        CropPad((2, 2), (4, 4)).undo(np.zeros((1, 3, 4)))


@pytest.mark.parametrize(
    ("original", "size", "start"),
    [
        ((7, 7), (7, 7), (0, 0)),
        ((8, 10), (4, 4), (2, 3)),
        ((7, 8), (4, 5), (1, 1)),  # 3 too many: one from the beginning, two from the end
        ((4, 5), (7, 8), (-1, -1)),  # 3 too few: one at the beginning, two at the end
        ((3, 9), (8, 4), (-2, 2)),
    ],
)
def test_where_the_result_begins_in_the_original(original, size, start):
    assert CropPad(original, size).start_yx == start
    array = np.arange(1, 1 + np.prod(original)).reshape(1, *original)
    fitted, _ = center_crop_pad(array, size, 0)
    row, column = (max(0, -begin) for begin in start)
    assert fitted[0, row, column] == array[0, start[0] + row, start[1] + column]


@pytest.mark.parametrize("size", [(5, 6), (3, 2), (8, 9), (2, 9), (12, 1)])
def test_voxels_stay_where_they_are_when_slices_are_cropped_and_padded(size):
    volume = Volume(scan().array_zyx + 1, scan().spacing_mm, scan().origin_mm, scan().direction)
    fitted = center_crop_pad_volume(volume, size, 0)
    assert fitted.array_zyx.shape == (4, *size)
    assert fitted.spacing_mm == volume.spacing_mm
    before, after = positions(volume), positions(fitted)
    after.pop(0, None)  # padding
    assert len(after) == 4 * min(5, size[0]) * min(6, size[1])
    np.testing.assert_allclose([after[value] for value in after], [before[value] for value in after], atol=1e-9)


def test_padding_has_the_value_asked_for():
    fitted = center_crop_pad_volume(scan(), (6, 6), -7)
    assert (fitted.array_zyx[:, 5] == -7).all()
    assert fitted.array_zyx.dtype == np.int16


# ---- names of axes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        (np.eye(3), "LPS"),
        (-np.eye(3), "RAI"),
        (np.diag([1, -1, 1]), "LAS"),
        (np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]), "AIL"),  # x to the front, y to the feet, z to the left
        (rotation(20, 35), "LPS"),
    ],
)
def test_axis_letters(direction, letters):
    assert axis_letters(direction) == letters
