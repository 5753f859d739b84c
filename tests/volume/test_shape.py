import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.volume.shape import measure


def ball(radius_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    half = [int(np.ceil(radius_mm / step)) + 1 for step in reversed(spacing_mm)]
    z, y, x = np.ogrid[tuple(slice(-n, n + 1) for n in half)]
    inside = (x * spacing_mm[0]) ** 2 + (y * spacing_mm[1]) ** 2 + (z * spacing_mm[2]) ** 2
    return np.asarray(inside <= radius_mm**2)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.8, 1.2, 2.5)])
def test_a_ball_is_a_ball(spacing_mm):
    shape = measure(ball(20, spacing_mm), spacing_mm)
    assert shape.volume_ml == pytest.approx(4 / 3 * np.pi * 2**3, rel=0.02)
    assert shape.surface_cm2 == pytest.approx(4 * np.pi * 2**2, rel=0.1)  # stairs of 2.5 mm
    assert shape.sphericity == pytest.approx(1, abs=0.1)
    assert shape.extent_mm == pytest.approx((40, 40, 40), abs=2 * max(spacing_mm))
    assert shape.parts == 1


def test_a_box_is_measured_along_its_axes():
    mask = np.zeros((20, 30, 40), dtype=bool)
    mask[4:9, 10:20, 5:25] = True
    shape = measure(mask, (1.0, 2.0, 4.0))
    assert shape.volume_ml == 5 * 10 * 20 * 8 / 1000
    assert shape.extent_mm == (20, 20, 20)
    assert shape.slices == 5
    assert shape.surface_cm2 == pytest.approx(6 * 4, rel=0.1)  # a cube of 2 cm, its edges smoothed
    assert shape.sphericity == pytest.approx((np.pi / 6) ** (1 / 3), rel=0.1)


def test_parts_are_counted():
    mask = np.zeros((5, 20, 20), dtype=bool)
    mask[1:4, 2:8, 2:8] = mask[1:4, 12:18, 12:18] = True
    assert measure(mask, (1.0, 1.0, 1.0)).parts == 2


def test_a_single_voxel_has_a_shape():
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[1, 1, 1] = True
    shape = measure(mask, (2.0, 2.0, 2.0))
    assert shape.volume_ml == pytest.approx(0.008)
    assert shape.surface_cm2 > 0


def test_an_empty_mask_has_none():
    with pytest.raises(InputError, match="the mask is empty"):
        measure(np.zeros((3, 3, 3), dtype=bool), (1.0, 1.0, 1.0))
