import math

import pytest
import torch
from torch import Tensor

from psmnet.models.position import CHANNELS, position_code, with_position


def disc(centre_yx: tuple[float, float], radius: float, size: int = 64) -> Tensor:
    """(1, 1, size, size): 1 in a disc, 0 around it."""
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    inside = (y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2 < radius**2
    return inside.float()[None, None]


def test_a_quarter_turn_leads_from_the_middle_of_the_body_to_its_border():
    sin_y, cos_y, sin_x, cos_x = position_code(disc((32, 32), 20), (64, 64))[0]
    middle, border = 32, 32 + 20  # of pixels whose centres are at + 0.5
    assert sin_y[middle, 5] == pytest.approx(0.5 / 20 * math.pi / 2, abs=0.01)
    assert cos_y[border, 5] == pytest.approx(0, abs=0.06)
    assert sin_y[border, 5] == pytest.approx(1, abs=0.01)
    assert torch.equal(sin_x, sin_y.T)
    assert torch.equal(cos_x, cos_y.T)


def test_bodies_of_other_place_and_size_agree():
    """The middle and half way to the right border of a body of radius 20 and of one of 10 elsewhere."""
    large, small = position_code(torch.cat([disc((32, 32), 20), disc((20, 40), 10)]), (64, 64))
    for way in (0.0, 0.5):
        there, here = (32, round(32 + way * 20)), (20, round(40 + way * 10))
        assert large[:, *there] == pytest.approx(small[:, *here], abs=0.05)


def test_outside_the_body_nothing_goes_on():
    code = position_code(disc((32, 32), 10), (64, 64))[0]
    assert torch.equal(code[:, 0, 0], code[:, 5, 5])


def test_brightness_and_offset_do_not_matter():
    image = disc((30, 36), 15)
    assert torch.equal(position_code(image, (16, 16)), position_code(7 * image - 3, (16, 16)))


def test_an_image_without_a_body_is_all_body():
    code = position_code(torch.zeros(1, 1, 32, 32), (8, 8))
    assert torch.isfinite(code).all()
    assert code[0, 0, 0, 0] < 0 < code[0, 0, -1, 0]


def test_its_weight_beside_the_features():
    maps = 5 * torch.randn(2, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.cat([disc((32, 32), 20), disc((20, 40), 10)])
    coded = with_position(maps, images, 0.5)
    assert coded.shape == (2, 8 + CHANNELS, 16, 16)
    assert coded[:, :8].norm(dim=1) == pytest.approx(torch.ones(2, 16, 16))
    assert coded[:, 8:].norm(dim=1) == pytest.approx(0.5 * math.sqrt(2) * torch.ones(2, 16, 16))
    assert with_position(maps, images, 0) is maps
