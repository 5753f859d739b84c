import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.raw_layouts import turned
from psmnet.catalog import DATASETS
from psmnet.data.prepare.preprocess import LAS, PreprocessConstants, preprocess, window
from psmnet.errors import InputError
from psmnet.volume.geometry import axis_letters
from psmnet.volume.volume import Volume

CHAOS, SABS, CMR, PELVIC = (PreprocessConstants.of(DATASETS[name]) for name in ("chaos-t2", "sabs", "cmr", "pelvic"))
OBLIQUE = turned(x=12, y=-8, z=15)


def scan(size_xyz, spacing_mm=(1.0, 1.0, 1.0), direction=None, fill=0, dtype=np.int16):
    return Volume(np.full(size_xyz[::-1], fill, dtype), spacing_mm, (-90.0, 35.0, 410.0), direction)


def place(volume, index_xyz):
    return (volume.affine @ [*index_xyz, 1])[:3]


def brightest(volume):
    return np.unravel_index(volume.array_zyx.argmax(), volume.array_zyx.shape)[::-1]


# ---- constants -------------------------------------------------------------------------------------------------


def test_constants_are_the_catalogs():
    las = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    assert PreprocessConstants(las, clip_percentile=99.5, spacing_mm=(1.25, 1.25, 7.7), size_px=256) == CHAOS
    assert PreprocessConstants(las, window_hu=(-125, 275), border_px=32, size_px=256) == SABS
    assert PreprocessConstants(None, clip_percentile=99.5, spacing_mm=(1.25, 1.25, 7.99), size_px=256) == CMR
    assert PreprocessConstants(las, clip_percentile=99.5, spacing_mm=(0.75, 0.75, 2.5), size_px=256) == PELVIC
    assert axis_letters(LAS) == "LAS"


def test_faults_are_sorted():
    assert PreprocessConstants.of(DATASETS["cmr"], ("label-holes", "crop-origin")).faults == (
        "crop-origin",
        "label-holes",
    )


@pytest.mark.parametrize(
    "recipe", [CHAOS, SABS, replace(CMR, faults=("a", "b")), PreprocessConstants(spacing_mm=(1, 2, None))]
)
def test_constants_survive_json(recipe):
    assert PreprocessConstants.of_constants(json.loads(json.dumps(recipe.as_constants()))) == recipe


def test_constants_of_another_version():
    with pytest.raises(InputError, match=r"constants of another version .*colour"):
        PreprocessConstants.of_constants({"colour": 3})


# ---- intensities -----------------------------------------------------------------------------------------------


def test_intensities_above_the_percentile_are_clipped_to_it():
    # Of 0, 1, .., 200 the 99.5th percentile is 199.
    image = Volume(np.arange(201, dtype=np.int16).reshape(3, 1, 67))
    found, _ = preprocess(image, None, PreprocessConstants(clip_percentile=99.5))
    assert found.array_zyx.dtype == np.float32
    np.testing.assert_array_equal(found.array_zyx.ravel(), [*range(200), 199])


def test_the_percentile_is_of_the_scan_as_acquired_and_not_of_what_is_left_of_it():
    image = scan((300, 300, 2), fill=10)
    image.array_zyx[:, :20] = 1000  # will be cropped off, but is more than half a percent
    image.array_zyx[:, 150] = 900
    found, _ = preprocess(image, None, PreprocessConstants(clip_percentile=99.5, spacing_mm=(1, 1, 1), size_px=256))
    assert found.array_zyx.max() == 900


@pytest.mark.parametrize(
    ("hounsfield", "expected"), [(-1000, 0), (-125, 0), (-25, 63.75), (75, 127.5), (275, 255), (3000, 255)]
)
def test_window(hounsfield, expected):
    found = window(np.array([[hounsfield]], np.int16), (-125, 275))
    assert found.item() == expected
    assert found.dtype == np.float32


def test_the_window_is_the_same_in_every_scan_and_in_the_fields_way_it_is_not():
    array = np.array([-100, 0, 100], np.int16)  # neither air nor bone
    assert window(array, (-125, 275)).tolist() == [15.9375, 79.6875, 143.4375]  # (hu + 125) * 255 / 400
    assert window(array, (-125, 275), by_its_own_range=True).tolist() == [0, 127.5, 255]
    with_air_and_bone = np.array([-1000, -100, 0, 100, 900], np.int16)
    assert window(with_air_and_bone, (-125, 275), by_its_own_range=True)[2] == 79.6875


def test_a_constant_scan_is_windowed_without_dividing_by_nothing():
    assert window(np.zeros(3), (-125, 275), by_its_own_range=True).tolist() == [0, 0, 0]


# ---- axes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
@pytest.mark.parametrize("tilt", [np.eye(3), OBLIQUE])
def test_axes_run_to_the_left_the_front_and_the_head(signs, tilt):
    image = scan((5, 4, 3), direction=tilt @ np.diag(signs).astype(float))
    image.array_zyx.flat = range(60)
    labels = image.with_array((image.array_zyx % 3).astype(np.uint8))
    found, found_labels = preprocess(image, labels, replace(CHAOS, spacing_mm=None, clip_percentile=None, size_px=None))
    assert axis_letters(found.direction) == "LAS"
    np.testing.assert_allclose(found.direction, tilt @ LAS, atol=1e-12)
    np.testing.assert_array_equal(found_labels.array_zyx, found.array_zyx % 3)
    for z, y, x in np.ndindex(found.array_zyx.shape):
        z0, y0, x0 = np.unravel_index(found.array_zyx[z, y, x], image.array_zyx.shape)
        np.testing.assert_allclose(place(found, (x, y, z)), place(image, (x0, y0, z0)), atol=1e-9)


def test_slice_0_is_the_lowest():
    image = scan((4, 4, 6), direction=np.diag([1.0, -1.0, -1.0]))  # stored from the head down
    found, _ = preprocess(image, None, replace(CHAOS, spacing_mm=None, clip_percentile=None))
    assert place(found, (0, 0, 0))[2] < place(found, (0, 0, 5))[2]


def test_coronal_slices_become_axial_ones():
    # Stored axes to the left, to the feet and to the back.
    direction = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    found, _ = preprocess(scan((10, 8, 6), (1, 2, 5), direction), None, replace(CHAOS, spacing_mm=None, size_px=None))
    assert axis_letters(found.direction) == "LAS"
    assert found.size_xyz == (10, 6, 8)
    assert found.spacing_mm == (1, 5, 2)


def test_cardiac_scans_keep_their_stored_axes():
    direction = turned(x=70, y=-40, z=100) @ np.diag([1.0, -1.0, -1.0])
    found, _ = preprocess(scan((30, 30, 6), (2, 2, 9), direction), None, CMR)
    np.testing.assert_array_equal(found.direction, direction)


def test_acquired_slices_come_first_whatever_their_place():
    recipe = PreprocessConstants(direction=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)))
    stored = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # slices along the first stored axis
    found, _ = preprocess(scan((6, 10, 8), (5, 1, 1), stored), None, recipe)
    assert axis_letters(found.direction) == "LPS"
    assert found.spacing_mm == (1, 1, 5)
    assert found.size_xyz == (10, 8, 6)


# ---- grids -----------------------------------------------------------------------------------------------------


def test_mr_is_resampled_about_its_middle_and_padded_to_256():
    image = scan((200, 160, 26), (1.5, 1.5, 9.0), fill=40)
    image.array_zyx[:3, :4, :4] = 12  # the smallest
    labels = image.with_array(np.ones(image.array_zyx.shape, np.uint8))
    recipe = replace(CHAOS, direction=None)
    found, found_labels = preprocess(image, labels, recipe)
    # 200 * 1.5 / 1.25 = 240 columns, 192 rows, 30.39 slices.
    assert found.size_xyz == found_labels.size_xyz == (256, 256, 30)
    assert found.spacing_mm == (1.25, 1.25, 7.7)
    inside = np.zeros((256, 256), bool)
    inside[32:224, 8:248] = True  # (256 - 192) / 2 and (256 - 240) / 2 on each side
    assert (found.array_zyx[:, ~inside] == 12).all()
    assert (found.array_zyx[:, inside] > 12).mean() > 0.99
    np.testing.assert_array_equal(found_labels.array_zyx, np.broadcast_to(inside, (30, 256, 256)))
    # About the same middle: 30 slices of 7.7 mm reach 1.5 mm less far at each end than 26 of 9 mm.
    middle = place(image, (99.5, 79.5, 12.5))
    np.testing.assert_allclose(place(found, (127.5, 127.5, 14.5)), middle, atol=1e-9)
    assert found.origin_mm[0] == pytest.approx(middle[0] - 127.5 * 1.25)


def test_a_large_field_of_view_is_cropped_about_its_middle():
    image = scan((401, 300, 3), (1.25, 1.25, 7.7))
    image.array_zyx[:] = np.arange(401)
    found, _ = preprocess(image, None, replace(CHAOS, direction=None, clip_percentile=None))
    # 145 columns too many: 72 from the beginning, 73 from the end.
    np.testing.assert_array_equal(found.array_zyx[1, 100], np.arange(72, 328))
    np.testing.assert_allclose(found.origin_mm, place(image, (72, 22, 0)), atol=1e-9)


def test_ct_loses_its_border_and_is_resampled_in_the_plane_alone():
    image = scan((512, 512, 2), (0.7, 0.7, 3.0), fill=75)
    image.array_zyx[:, :32] = image.array_zyx[:, -32:] = 3000  # the table, in what is cut off
    image.array_zyx[:, :, :32] = image.array_zyx[:, :, -32:] = 3000
    labels = image.with_array((image.array_zyx == 75).astype(np.uint8))
    found, found_labels = preprocess(image, labels, replace(SABS, direction=None))
    assert found.size_xyz == (256, 256, 2)
    assert found.spacing_mm == pytest.approx((0.7 * 1.75, 0.7 * 1.75, 3.0))
    assert (found.array_zyx == 127.5).all()
    assert (found_labels.array_zyx == 1).all()
    # The first of 448 columns is number 32; 256 pixels of 1.75 begin 0.375 further in than 448 of 1.
    first = 32 + (1.75 - 1) / 2
    np.testing.assert_allclose(found.origin_mm, place(image, (first, first, 0)), atol=1e-9)
    np.testing.assert_array_equal(
        [place(found, (0, 0, z))[2] for z in range(2)], [place(image, (0, 0, z))[2] for z in range(2)]
    )


def test_a_smaller_ct_loses_as_much_in_proportion():
    image = scan((256, 128, 2), (1.4, 2.8, 3.0))
    image.array_zyx[:] = np.arange(256)
    found, _ = preprocess(image, None, replace(SABS, direction=None, size_px=None))
    assert found.size_xyz == (256 - 32, 128 - 16, 2)
    np.testing.assert_allclose(found.origin_mm, place(image, (16, 8, 0)), atol=1e-9)


def test_labels_stay_on_the_images_grid_and_keep_their_type():
    image = scan((40, 38, 5), (2, 2, 9), OBLIQUE)
    labels = image.with_array(np.full(image.array_zyx.shape, 600, np.uint16))
    found, found_labels = preprocess(image, labels, CMR)
    np.testing.assert_array_equal(found.affine, found_labels.affine)
    assert found_labels.array_zyx.dtype == np.uint16
    assert np.unique(found_labels.array_zyx).tolist() == [0, 600]


@pytest.mark.parametrize("recipe", [CHAOS, CMR, PELVIC, SABS], ids=["chaos", "cmr", "pelvic", "sabs"])
@pytest.mark.parametrize("direction", [np.eye(3), OBLIQUE, OBLIQUE @ np.diag([-1.0, 1.0, -1.0])])
def test_a_bright_voxel_and_its_label_stay_where_they_are_to_half_a_voxel(recipe, direction):
    image = scan((90, 84, 9), (1.6, 1.6, 8.0), direction, fill=-200)
    index = (33, 50, 4)
    image.array_zyx[index[::-1]] = 200
    labels = image.with_array((image.array_zyx == 200).astype(np.uint8))
    labels.array_zyx[3:6, 49:52, 32:35] = 1  # one voxel alone may fall between others
    found, found_labels = preprocess(image, labels, replace(recipe, clip_percentile=None))
    middle_of_labels = np.argwhere(found_labels.array_zyx).mean(axis=0)[::-1]
    for where, limit in ((brightest(found), 0.501), (middle_of_labels, 0.75)):
        offset = place(found, where) - place(image, index)
        assert (np.abs(found.direction.T @ offset) <= limit * np.array(found.spacing_mm)).all()


def test_without_constants_nothing_changes():
    image = scan((7, 6, 5), (1, 2, 3), OBLIQUE, fill=3)
    labels = image.with_array(np.ones((5, 6, 7), np.uint8))
    found, found_labels = preprocess(image, labels, PreprocessConstants())
    assert found is image
    assert found_labels is labels


def test_what_fits_already_is_left_as_stored():
    image = scan((16, 16, 3), (1.25, 1.25, 7.7), LAS, fill=3)
    recipe = PreprocessConstants(tuple(map(tuple, LAS.tolist())), spacing_mm=(1.25, 1.25, 7.7), size_px=16)
    found, none = preprocess(image, None, recipe)
    assert none is None
    np.testing.assert_array_equal(found.array_zyx, image.array_zyx)
    assert found.array_zyx.dtype == np.int16
    np.testing.assert_array_equal(found.affine, image.affine)


def test_slices_as_stored_where_only_the_plane_has_a_spacing():
    found, _ = preprocess(
        scan((20, 20, 4), (2, 2, 6.5)), None, PreprocessConstants(spacing_mm=(1, 1, None), size_px=30)
    )
    assert found.size_xyz == (30, 30, 4)
    assert found.spacing_mm == (1, 1, 6.5)


# ---- the field's faults ----------------------------------------------------------------------------------------


def faulty(recipe, *names):
    return replace(recipe, direction=None, faults=names)


def test_extra_slice():
    image = scan((64, 60, 26), (5.0, 5.0, 9.0), OBLIQUE)
    ours, _ = preprocess(image, None, faulty(CHAOS))
    theirs, _ = preprocess(image, None, faulty(CHAOS, "extra-slice"))
    assert ours.size_xyz == (256, 256, 30)  # 30.39
    assert theirs.size_xyz == (256, 256, 31)  # int(30.39 + 1)
    # Slices lie on from the first one; in the plane int(256 + 1) = 257 is cropped to 256 without moving the first.
    along = OBLIQUE.T @ (np.array(theirs.origin_mm) - image.origin_mm)
    # Rows: int(240 + 1) = 241, padded by int(15 / 2) = 7 at the beginning.
    np.testing.assert_allclose(along, (0, -7 * 1.25, 0), atol=1e-9)


def test_extra_slice_leaves_257_pixels_of_ct_of_which_the_first_256_are_kept():
    image = scan((512, 512, 2), (0.7, 0.7, 3.0))
    theirs, _ = preprocess(image, None, faulty(SABS, "extra-slice"))
    assert theirs.array_zyx.shape[0] == 3  # int(2 + 1)
    np.testing.assert_allclose(theirs.origin_mm, place(image, (32, 32, 0)), atol=1e-9)


def test_label_holes():
    image = scan((4, 1, 1))
    labels = image.with_array(np.array([[[5, 5, 9, 9]]], np.uint8))
    recipe = PreprocessConstants(spacing_mm=(0.5, 1, 1), faults=("extra-slice",))  # at 0, 0.5, .., 4 mm
    _, ours = preprocess(image, labels, recipe)
    _, theirs = preprocess(image, labels, replace(recipe, faults=("extra-slice", "label-holes")))
    assert ours.array_zyx[0, 0].tolist() == [5, 5, 5, 5, 9, 9, 9, 0, 0]  # the scan ends before 3.5
    assert theirs.array_zyx[0, 0].tolist() == [5, 5, 5, 0, 9, 9, 9, 0, 0]


def test_volume_rescale():
    image = scan((8, 8, 2), fill=-100)
    image.array_zyx[0] = 100
    ours, _ = preprocess(image, None, PreprocessConstants(window_hu=(-125, 275)))
    theirs, _ = preprocess(image, None, PreprocessConstants(window_hu=(-125, 275), faults=("volume-rescale",)))
    assert np.unique(ours.array_zyx).tolist() == [15.9375, 143.4375]
    assert np.unique(theirs.array_zyx).tolist() == [0, 255]


@pytest.mark.parametrize("recipe", [CHAOS, SABS], ids=["padded", "cropped"])
def test_crop_origin(recipe):
    image = scan((512, 512, 2), (0.25, 0.25, 7.7), OBLIQUE)
    recipe = replace(recipe, size_px=200 if recipe is CHAOS else None, clip_percentile=None)
    ours, labels = preprocess(image, image, faulty(recipe))
    theirs, their_labels = preprocess(image, image, faulty(recipe, "crop-origin"))
    np.testing.assert_array_equal(ours.array_zyx, theirs.array_zyx)
    np.testing.assert_array_equal(ours.affine, labels.affine)
    np.testing.assert_array_equal(theirs.affine, their_labels.affine)
    offset = OBLIQUE.T @ (np.array(ours.origin_mm) - theirs.origin_mm)
    # CHAOS: 102.4 pixels of 1.25 mm, so 102 to 200: 49 before. SABS: 32 pixels of 0.25 mm cut off.
    expected = -49 * 1.25 if recipe.border_px == 0 else 32 * 0.25
    np.testing.assert_allclose(offset, (expected, expected, 0), atol=1e-9)
