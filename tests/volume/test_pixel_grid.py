import pytest
import torch

from psmnet.errors import InputError
from psmnet.volume.pixel_grid import PixelGrid


def ramp(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (10.0 * y + x)[None, None]


def test_sizes_by_hand():
    # 40 x 2.5 = 100 mm high, 60 x 1.25 = 75 mm wide; at 2 mm per pixel 50 x 37.5, which is 38 to the even number.
    grid = PixelGrid.of((40, 60), (2.5, 1.25), 2.0, 32, 16)
    assert grid.scaled_yx == (50, 38)
    assert grid.padded_yx == (64, 48)


@pytest.mark.parametrize(
    ("stored", "spacing", "pixel_mm"),
    [
        ((40, 60), (2.5, 1.25), 2.0),
        ((64, 64), (1.0, 1.0), 1.0),
        ((30, 90), (3.0, 1.0), 1.0),
        ((33, 47), (0.7, 1.9), 1.3),
    ],
)
def test_padded_size_is_large_enough_and_divisible(stored, spacing, pixel_mm):
    grid = PixelGrid.of(stored, spacing, pixel_mm, 64, 16)
    for padded, scaled in zip(grid.padded_yx, grid.scaled_yx, strict=True):
        assert padded >= max(scaled, 64)
        assert padded % 16 == 0
        assert padded < max(scaled, 64) + 16


@pytest.mark.parametrize("spacing", [(2.5, 1.25), (0.5, 2.0), (1.1, 1.7)])
def test_never_squeezed_whatever_the_spacing(spacing):
    """Rows and columns of a pixel are equally many mm, to the rounding to whole pixels."""
    stored, pixel_mm = (80, 60), 1.5
    grid = PixelGrid.of(stored, spacing, pixel_mm, 64, 16)
    for n, mm, pixels in zip(stored, spacing, grid.scaled_yx, strict=True):
        assert abs(pixels - n * mm / pixel_mm) <= 0.5


def test_a_disc_stays_round():
    """A disc of 30 mm on voxels of 2 x 1 mm is as wide as it is high on the network's pixels."""
    y, x = torch.meshgrid((torch.arange(40) - 19.5) * 2.0, torch.arange(80) - 39.5, indexing="ij")
    disc = ((y**2 + x**2) < 30.0**2).float()[None, None]
    pixels = PixelGrid.of((40, 80), (2.0, 1.0), 1.0, 64, 16).to_pixels(disc, 0.0)[0, 0] > 0.5
    height, width = int(pixels.any(dim=1).sum()), int(pixels.any(dim=0).sum())
    assert height == pytest.approx(60, abs=2)
    assert width == pytest.approx(60, abs=2)


def test_padding_has_the_value_given_and_lies_around():
    slices = torch.ones(2, 1, 20, 30)
    padded = PixelGrid.of((20, 30), (1.0, 1.0), 1.0, 32, 16).to_pixels(slices, -7.0)
    assert padded.shape == (2, 1, 32, 32)
    assert (padded == 1).sum() == 2 * 20 * 30
    assert (padded == -7).sum() == padded.numel() - 2 * 20 * 30
    assert (padded[:, :, 6:26, 1:31] == 1).all()  # in the middle: (32 - 20) / 2 and (32 - 30) / 2


def test_round_trip_without_resampling_is_exact():
    slices = ramp(20, 30)
    grid = PixelGrid.of((20, 30), (1.5, 1.5), 1.5, 32, 16)
    assert torch.equal(grid.to_stored(grid.to_pixels(slices, 0.0)), slices)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (0.8, 1.3)])
def test_round_trip_with_resampling_keeps_a_ramp(spacing):
    """A linear ramp survives bilinear resampling, but for the border."""
    slices = ramp(40, 50)
    grid = PixelGrid.of((40, 50), spacing, 0.7, 32, 16)
    back = grid.to_stored(grid.to_pixels(slices, 0.0))
    assert back.shape == slices.shape
    assert torch.allclose(back[..., 3:-3, 3:-3], slices[..., 3:-3, 3:-3], atol=0.05)


def test_a_scan_of_one_row_still_has_a_pixel():
    grid = PixelGrid.of((1, 300), (0.1, 1.0), 2.0, 32, 16)
    assert grid.scaled_yx == (1, 150)
    assert grid.to_stored(grid.to_pixels(torch.ones(1, 1, 1, 300), 0.0)).shape == (1, 1, 1, 300)


def test_a_scan_far_larger_than_the_support_is_refused_before_memory_is():
    with pytest.raises(InputError, match="slices of 64000 x 64000 mm need 64000 pixels a side at the support's 1 mm"):
        PixelGrid.of((64, 64), (1000.0, 1000.0), 1.0, 192, 16)
