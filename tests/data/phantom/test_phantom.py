import math
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from psmnet.catalog import DATASETS
from psmnet.data.phantom.anatomy import TISSUES, Grid, Tissue, draw_anatomy
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import InputError
from psmnet.volume.volume import Volume

SMALL = (16, 64, 64)
SMALL_SPACING_MM = (5.0, 5.0, 12.0)  # the default field of view, coarser
ORGANS = DATASETS["phantom"].labels


@cache
def patient(seed: int) -> tuple[Volume, Volume]:
    return draw_patient(seed)


def volume_ml(labels: Volume, organ: str) -> float:
    return int((labels.array_zyx == ORGANS[organ]).sum()) * math.prod(labels.spacing_mm) / 1000


def centroid_mm(labels: Volume, organ: str) -> np.ndarray:
    indices_zyx = np.argwhere(labels.array_zyx == ORGANS[organ]).mean(axis=0)
    return (labels.affine @ [*indices_zyx[::-1], 1.0])[:3]


def test_same_seed_same_patient():
    for first, second in zip(draw_patient(7, shape_zyx=SMALL), draw_patient(7, shape_zyx=SMALL), strict=True):
        np.testing.assert_array_equal(first.array_zyx, second.array_zyx)
        assert first.origin_mm == second.origin_mm


def test_other_seed_other_patient():
    (image, labels), (other_image, other_labels) = patient(0), patient(1)
    assert image.origin_mm != other_image.origin_mm
    assert not np.array_equal(image.array_zyx, other_image.array_zyx)
    assert not np.array_equal(labels.array_zyx, other_labels.array_zyx)


def test_image_and_labels_share_the_lattice():
    image, labels = patient(0)
    assert image.array_zyx.shape == labels.array_zyx.shape == (24, 128, 128)
    assert image.array_zyx.dtype == np.float32
    assert labels.array_zyx.dtype == np.uint8
    assert image.spacing_mm == labels.spacing_mm == (2.5, 2.5, 8.0)
    np.testing.assert_array_equal(image.affine, labels.affine)
    np.testing.assert_array_equal(image.direction, np.eye(3))


@pytest.mark.parametrize(
    ("shape_zyx", "spacing_mm"),
    [
        (SMALL, SMALL_SPACING_MM),
        (SMALL, (2.5, 2.5, 8.0)),  # half the field of view
        ((12, 64, 64), (5.0, 5.0, 16.0)),
        ((14, 64, 96), (4.0, 4.0, 6.0)),
        ((14, 96, 64), (4.0, 5.0, 10.0)),
    ],
)
@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 30), marks=pytest.mark.slow)], ids=["few", "many"])
def test_every_organ_is_in_three_slices_of_every_patient(shape_zyx, spacing_mm, seeds):
    for seed in seeds:
        image, labels = draw_patient(seed, shape_zyx=shape_zyx, spacing_mm=spacing_mm)
        assert set(np.unique(labels.array_zyx)) == {0, *ORGANS.values()}
        for value in ORGANS.values():
            assert (labels.array_zyx == value).any(axis=(1, 2)).sum() >= 3
        assert np.isfinite(image.array_zyx).all()


@pytest.mark.parametrize("seed", range(6))
def test_organs_lie_where_anatomy_has_them(seed):
    _, labels = patient(seed)
    liver, right, left, spleen, aorta = (centroid_mm(labels, organ) for organ in ORGANS)
    # LPS: x grows to the patient's left, y to the back, z to the head.
    assert liver[0] < right[0] + 40 < aorta[0] + 40
    assert right[0] < aorta[0] < left[0]
    assert aorta[0] < spleen[0]
    assert spleen[1] > liver[1]
    assert min(right[1], left[1]) > aorta[1]
    assert liver[2] > right[2]
    assert spleen[2] > left[2]


# In ml. Ellipsoids of 4/3 pi abc, grown or shrunk per axis by at most 10 % or so and cut by neighbours: kidney
# 26 x 25 x 53 mm -> 144 ml, spleen 27 x 43 x 50 mm -> 243 ml less its hollow, liver's right lobe 64 x 72 x 68 mm ->
# 1313 ml, less the lungs' and spine's part, and the left lobe. The aorta, 192 mm of a tube with 9.5 to 12 mm radius,
# has 54 to 87 ml, times size and taper.
@pytest.mark.parametrize(
    ("organ", "least", "most"),
    [
        ("liver", 600, 1700),
        ("right_kidney", 55, 230),
        ("left_kidney", 55, 230),
        ("spleen", 60, 350),
        ("aorta", 40, 115),
    ],
)
def test_volumes_are_plausible(organ, least, most):
    for seed in range(6):
        assert least < volume_ml(patient(seed)[1], organ) < most


@pytest.mark.parametrize("seed", range(6))
def test_each_organ_is_in_one_piece(seed):
    for value in ORGANS.values():
        assert label(patient(seed)[1].array_zyx == value)[1] == 1


def test_resolution_does_not_change_the_patient():
    coarse = draw_patient(3, shape_zyx=SMALL, spacing_mm=SMALL_SPACING_MM)[1]
    fine = patient(3)[1]
    for organ in ORGANS:
        # The aorta is 4 coarse pixels wide, hence the tolerance.
        assert volume_ml(coarse, organ) == pytest.approx(volume_ml(fine, organ), rel=0.12)


@pytest.mark.parametrize("seed", range(4))
def test_organs_are_disjoint_from_air(seed):
    image, labels = patient(seed)
    for scan, organs in zip(image.array_zyx, labels.array_zyx, strict=True):
        parts, _ = label(gaussian_filter(scan, 1.0) > 80)
        body = binary_fill_holes(parts == np.bincount(parts[parts > 0]).argmax())
        assert not (organs[~body] > 0).any()


@pytest.mark.parametrize("seed", range(4))
def test_intensities_are_those_of_a_scan(seed):
    image, labels = patient(seed)
    scan, organs = image.array_zyx, labels.array_zyx
    assert scan.min() >= 0
    assert 600 < np.percentile(scan, 99.9) < 1300
    corner = scan[:, :8, :8]
    assert 5 < corner.mean() < 30  # Rician: noise of a standard deviation of 9 to 18 has a mean of 1.25 times that
    liver, spleen, aorta = (np.median(scan[organs == ORGANS[name]]) for name in ("liver", "spleen", "aorta"))
    assert 150 < liver < 380
    assert aorta < liver < spleen


def test_smooth_fields_have_unit_variance_and_no_bias():
    axis = np.linspace(-100, 100, 81, dtype=np.float32)
    grid = Grid((axis, axis, axis), (100.0, 100.0, 100.0))
    field = grid.smooth_field(np.random.default_rng(0), (12.0, 12.0, 12.0))
    # About 17^3 independent knots.
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.05)
    # A cubic B-spline b has mean b'^2 / mean b^2 = (2/3) / (151/315), so the slope is 1.18 per knot of 12 mm.
    step = np.sqrt(np.mean(np.diff(field, axis=2) ** 2))
    assert step == pytest.approx(1.18 * 2.5 / 12, rel=0.1)


def test_each_voxel_has_a_tissue_and_organs_have_theirs():
    x, z = np.linspace(-158, 158, 64, dtype=np.float32), np.linspace(-90, 90, 16, dtype=np.float32)
    tissue, labels = draw_anatomy(np.random.default_rng(0), Grid((x, x, z), (160.0, 160.0, 96.0)))
    assert tissue.max() < TISSUES
    assert set(np.unique(tissue[labels == ORGANS["aorta"]])) == {Tissue.AORTA}
    assert set(np.unique(tissue[labels == ORGANS["liver"]])) <= {Tissue.LIVER, Tissue.LIVER_VESSEL}
    assert (labels[tissue == Tissue.SPLEEN] == ORGANS["spleen"]).all()
    # Hollow organs, gallbladder and vena cava are there to be mistaken, not to be found.
    assert (labels[tissue > Tissue.AORTA] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"seed": -1}, "-1"),
        ({"seed": 0, "shape_zyx": (4, 128, 128)}, "(4, 128, 128)"),
        ({"seed": 0, "shape_zyx": (24, 32, 128)}, "(24, 32, 128)"),
        ({"seed": 0, "shape_zyx": (128, 128)}, "(128, 128)"),
        ({"seed": 0, "spacing_mm": (2.5, 0.0, 8.0)}, "0.0"),
        ({"seed": 0, "shape_zyx": SMALL, "spacing_mm": (1.0, 60.0, 8.0)}, "leaves liver in 0 slices"),
    ],
)
def test_unusable_arguments_are_one_line_errors(arguments, part):
    with pytest.raises(InputError) as caught:
        draw_patient(**arguments)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
