"""Bodies are drawn in mm: 2.5 mm pixels, slices of 5 mm, x to the side and y to the back from the middle."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from helpers.places import SHARED
from psmnet.io import read_labels, read_volume
from psmnet.volume.body import body_mask

SPACING = (2.5, 2.5, 5.0)
SLICES, PIXELS = 12, 160
THRESHOLD = 10.0

z = np.arange(SLICES)[:, None, None]
y, x = ((np.arange(PIXELS) - (PIXELS - 1) / 2) * 2.5 for _ in "yx")
y, x = y[None, :, None], x[None, None, :]


def ellipse(half_x: float, half_y: float, x0: float = 0, y0: float = 0) -> np.ndarray:
    return np.broadcast_to(((x - x0) / half_x) ** 2 + ((y - y0) / half_y) ** 2 <= 1, (SLICES, PIXELS, PIXELS))


def scan(body: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """120 in the body, with texture; 200 in what else is there; 0 in air."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(body.shape), 2)
    image = np.where(body, 120 + 60 * texture, 0.0)
    for other in others:
        image[other & ~body] = 200
    return image


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


TRUNK = ellipse(150, 95)
ARMS = ellipse(25, 30, -178, 30) | ellipse(25, 30, 178, 30)
CHEST_CAVITY = ellipse(55, 60, -65) | ellipse(55, 60, 65)


# ---- tables ----------------------------------------------------------------------------------------------------


def table(kind: str) -> np.ndarray:
    """Curved, 360 mm wide, its top 98 mm behind the middle: a pixel's row under the trunk's lowest point."""
    below = y - (98 - x**2 / 1200)  # the trunk's curve is x^2 / 474 at its lowest point
    plate = np.broadcast_to((below >= 0) & (below < 35) & (abs(x) < 180), TRUNK.shape)
    if kind == "filled":
        return plate
    if kind == "sheet":
        return plate & np.broadcast_to(below < 5, plate.shape)
    return plate & ~ndimage.binary_erosion(plate, ndimage.generate_binary_structure(3, 1)[1:2], iterations=2)


@pytest.mark.parametrize("kind", ["sheet", "shell", "filled"])
@pytest.mark.parametrize("threshold", [THRESHOLD, None])
def test_a_table_is_cut_off_that_touches_in_some_slices(kind, threshold):
    sunk = np.isin(z, (3, 4, 9))  # here the trunk is 8 mm lower and would reach into the table
    tabletop = table(kind)
    body = np.where(sunk, ellipse(150, 95, 0, 8), TRUNK) & ~table("filled")
    beside = ndimage.binary_dilation(body, ndimage.generate_binary_structure(3, 1)[1:2]) & tabletop
    assert np.flatnonzero(beside.any(axis=(1, 2))).tolist() == [3, 4, 9]
    mask = body_mask(scan(body, tabletop), threshold, SPACING)
    assert dice(mask, body) > 0.98
    assert (mask & tabletop).sum() < 0.02 * tabletop.sum()


def test_a_sheet_that_touches_in_all_slices_is_cut_off_but_for_where_it_touches():
    body = ellipse(150, 95, 0, 5) & ~table("filled")
    tabletop = table("sheet")
    mask = body_mask(scan(body, tabletop), THRESHOLD, SPACING)
    assert dice(mask, body) > 0.98
    # The lower curves' difference, x^2 (1/474 - 1/1200), exceeds the 2 mm of overlap and the 3 mm of growth
    # beyond 63 mm of the 180 to each side.
    assert (mask & tabletop)[:, :, (np.abs(x) > 75).ravel()].sum() == 0


def test_a_table_without_a_patient_in_some_slices_is_left_out():
    body = TRUNK & (z >= 4)
    mask = body_mask(scan(body, table("filled")), THRESHOLD, SPACING)
    assert not mask[:4].any()
    assert dice(mask, body) > 0.98


def test_a_table_that_the_lower_border_cuts_is_left_out():
    plate = np.broadcast_to((y > 170) & (abs(x) < 180), TRUNK.shape)  # 30 mm of it are seen
    assert dice(body_mask(scan(TRUNK, plate), THRESHOLD, SPACING), TRUNK) > 0.995


def test_tubes_and_blankets_are_left_out():
    blanket = ellipse(165, 110) & ~ellipse(161, 106)
    tube = ellipse(4, 4, 0, -150)
    assert dice(body_mask(scan(TRUNK, blanket & (y < 0), tube), THRESHOLD, SPACING), TRUNK) > 0.995


# ---- several parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0, 30])  # with 30 one arm is cut by the image's border
def test_arms_are_kept(shift):
    body = np.roll(TRUNK | ARMS, round(shift / 2.5), axis=2)
    body[:, :, : round(shift / 2.5)] = False
    assert dice(body_mask(scan(body), THRESHOLD, SPACING), body) > 0.995


def test_legs_that_join_and_legs_alone_are_kept():
    legs = ellipse(55, 60, -62) | ellipse(55, 60, 62)
    pelvis = np.where(z < 7, legs, TRUNK)
    for body in (pelvis, legs):
        assert dice(body_mask(scan(body), THRESHOLD, SPACING), body) > 0.995


def test_the_body_may_taper_off():
    half = np.sqrt(
        np.maximum(1 - ((z - 1) / 10.4) ** 2, 0)
    )  # a head: from 0.3 times to the whole, and to 0.1 in slice 11
    body = ((x / 80) ** 2 + (y / 95) ** 2) <= half**2
    body[11] = (x**2 + y**2 <= 8**2)[0]  # 0.8 % of the largest slice: too little for a part of its own
    mask = body_mask(scan(body), THRESHOLD, SPACING)
    assert dice(mask, body) > 0.99
    assert mask[11].sum() > 0.9 * body[11].sum()


def test_air_between_arm_and_trunk_stays_out_where_the_two_touch_in_some_slices():
    # A forearm lies against the trunk at its upper and lower end.
    bows = (ellipse(190, 70, 0, 0) & ~ellipse(172, 56, 0, 0)) & (x > 0)
    touching = np.isin(z, (5, 6, 7))
    trunk = ellipse(150, 95)
    body = trunk | (bows & (touching | (y < -20)))
    pocket = ndimage.binary_fill_holes(body[6])[None] & ~body & touching
    assert pocket.sum() > 300
    mask = body_mask(scan(body), THRESHOLD, SPACING)
    assert (mask & pocket).sum() < 0.05 * pocket.sum()
    assert dice(mask, body) > 0.99


# ---- lungs, noise, small fields of view ------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
def test_lungs_are_filled(threshold):
    image = scan(TRUNK | ARMS)
    image[CHEST_CAVITY] = 0
    assert dice(body_mask(image, threshold, SPACING), TRUNK | ARMS) > 0.995


def test_fat_as_dark_as_air_under_skin_is_filled():
    image = scan(TRUNK)
    image[ellipse(146, 91) & ~ellipse(120, 70)] = 0  # the skin is 4 mm
    assert dice(body_mask(image, THRESHOLD, SPACING), TRUNK) > 0.995


def test_a_gap_in_the_chests_wall_empties_that_slices_lung_alone():
    image = scan(TRUNK)
    image[CHEST_CAVITY] = 0
    image[6][(y[0] > -4) & (y[0] < 4) & (x[0] < 0)] = 0
    mask = body_mask(image, THRESHOLD, SPACING)
    others = np.delete(np.arange(SLICES), 6)
    assert dice(mask[others], TRUNK[others]) > 0.995
    assert (mask & TRUNK)[6].sum() > 0.6 * TRUNK[6].sum()


@pytest.mark.parametrize("threshold", [36.0, None])
@pytest.mark.parametrize("sigma", [4.0, 12.0])
def test_noise_of_magnitude_images_is_left_out(threshold, sigma):
    random = np.random.default_rng(0)
    clean = scan(TRUNK | ARMS)
    image = np.hypot(clean + random.normal(0, sigma, clean.shape), random.normal(0, sigma, clean.shape))
    assert dice(body_mask(image.astype(np.float32), threshold, SPACING), TRUNK | ARMS) > 0.98


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
def test_a_body_that_fills_the_image_loses_nothing(threshold):
    body = np.ones(TRUNK.shape, bool)
    image = scan(body)
    image[ellipse(40, 50, 30, 10)] = 300  # blood
    image[ellipse(60, 60, -200, -80)] = 2  # a lung that the border cuts: 120 mm of its 1600
    assert body_mask(image, threshold, SPACING).all()


def test_a_body_that_the_borders_cut_at_the_sides_keeps_its_air_in_front():
    body = ellipse(230, 95)  # of a field of 200 to each side
    mask = body_mask(scan(body), THRESHOLD, SPACING)
    assert dice(mask, body) > 0.995


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.1, 0.1, 0.1), (50.0, 50.0, 0.5), (2.0, 3.0, 5.0)])
def test_wrong_spacings_still_find_the_body(spacing_mm):
    image = scan(TRUNK | ARMS)
    image[CHEST_CAVITY] = 0
    assert dice(body_mask(image, THRESHOLD, spacing_mm), TRUNK | ARMS) > 0.98


# ---- forms of input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [(1.0, 0.0), (1000.0, 0.0), (0.001, 5.0), (10.0, -1024.0)])
def test_without_a_threshold_the_scale_does_not_matter(scale):
    factor, offset = scale
    found = body_mask(scan(TRUNK | ARMS) * factor + offset, None, SPACING)
    assert dice(found, TRUNK | ARMS) > 0.995


def test_an_empty_slice_is_empty():
    image = scan(TRUNK | ARMS)
    image[[0, 5]] = 0
    for threshold in (THRESHOLD, None):
        mask = body_mask(image, threshold, SPACING)
        assert mask.dtype == bool
        assert mask.any(axis=(1, 2)).tolist() == [i not in (0, 5) for i in range(SLICES)]


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (5, 1, 1), (2, 3, 3), (1, 40, 40)])
@pytest.mark.parametrize("value", [0, -7])
def test_constant_arrays_are_no_body(threshold, shape, value):
    for dtype in (np.float32, np.int16):
        assert not body_mask(np.full(shape, value, dtype), threshold, SPACING).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (5, 1, 1), (2, 3, 3), (1, 40, 40)])
def test_what_is_all_above_the_threshold_is_all_body(shape):
    assert body_mask(np.full(shape, 100.0), THRESHOLD, SPACING).all()


def test_a_few_pixels_are_a_body():
    image = np.zeros((3, 10, 10))
    image[:, 1:8, 1:8] = 100
    image[1, 4, 4] = 0
    expected = np.zeros(image.shape, bool)
    expected[:, 1:8, 1:8] = True
    np.testing.assert_array_equal(body_mask(image, THRESHOLD, (1, 1, 1)), expected)


def test_corners_that_the_opening_takes_grow_back():
    square = np.broadcast_to((abs(x) < 100) & (abs(y) < 100), TRUNK.shape)
    np.testing.assert_array_equal(body_mask(scan(square), THRESHOLD, SPACING), square)


def test_a_body_too_thin_for_the_opening_stays():
    strip = np.broadcast_to((abs(x) < 100) & (abs(y) < 2), TRUNK.shape)
    np.testing.assert_array_equal(body_mask(scan(strip), THRESHOLD, SPACING), strip)


def test_it_is_deterministic_and_leaves_its_input_alone():
    image = scan(TRUNK | ARMS, table("shell"))
    before = image.copy()
    first = body_mask(image, None, SPACING)
    np.testing.assert_array_equal(first, body_mask(image.copy(), None, SPACING))
    np.testing.assert_array_equal(image, before)


# ---- real scans ------------------------------------------------------------------------------------------------


@pytest.mark.real_data
@pytest.mark.skipif(
    not (SHARED / "data" / "chaos_t2").is_dir(), reason="needs the CHAOS-T2 scans in ../shared/data/chaos_t2"
)
@pytest.mark.parametrize(("threshold", "share"), [(50.0, 0.9995), (None, 0.999)])
def test_organs_of_chaos_are_inside(threshold, share):
    image = read_volume(SHARED / "data" / "chaos_t2" / "image_1.nii.gz")
    labelled = read_labels(SHARED / "data" / "chaos_t2" / "label_1.nii.gz").array_zyx > 0
    mask = body_mask(image.array_zyx, threshold, image.spacing_mm)
    assert mask[labelled].mean() > share
    assert 0.3 < mask.mean() < 0.6


@pytest.mark.real_data
@pytest.mark.skipif(
    not (SHARED / "data" / "ct_dicom").is_dir(), reason="needs the CT series in ../shared/data/ct_dicom"
)
def test_the_table_of_a_ct_is_left_out():
    slices = sorted(
        (sitk.ReadImage(str(path)) for path in (SHARED / "data" / "ct_dicom" / "series").iterdir()),
        key=lambda image: image.GetOrigin()[2],
    )
    hounsfield = np.concatenate([sitk.GetArrayFromImage(image) for image in slices])[8:12]
    labelled = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(SHARED / "data" / "ct_dicom" / "labels.nii.gz")))[8:12, ::-1] > 0
    )
    spacing_mm = (*slices[0].GetSpacing()[:2], 2.0)
    windowed = np.clip((hounsfield + 125) * (255 / 400), 0, 255)
    for image, threshold in ((windowed, 0.0), (hounsfield, None)):
        mask = body_mask(image, threshold, spacing_mm)
        assert mask[labelled].all()
        assert not mask[:, 425:].any()  # rows of the table
        assert mask[:, 330, 45].all()  # an arm
        assert mask[:, 330, 470].all()  # the other
