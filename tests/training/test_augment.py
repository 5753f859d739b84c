import math

import pytest
import torch
from torch import Generator, Tensor

from psmnet.config import PRESETS, AugmentConfig
from psmnet.training.augment import generator_of, random_grids, random_intensities, smooth, warp
from psmnet.training.synthetic import SyntheticEpisodes

SIZE = 64
STILL = AugmentConfig(
    rotation_deg=0, shear_deg=0, shift_px=0, scale=(1, 1), elastic_alpha_px=0, elastic_sigma_px=5, gamma=(1, 1)
)


def only(**changes: object) -> AugmentConfig:
    return AugmentConfig(**{**vars(STILL), **changes})  # type: ignore[arg-type]


def generators(count: int) -> list[Generator]:
    return [generator_of(0, n) for n in range(count)]


def identity(size: int = SIZE) -> Tensor:
    return torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)


def disc(radius_px: float, size: int = SIZE) -> Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return (axis[:, None] ** 2 + axis[None] ** 2 <= radius_px**2).long()[None]


def centre(labels: Tensor) -> Tensor:
    """(x, y) of the labelled pixels."""
    return labels[0].nonzero().double().mean(dim=0).flip(0)


def jacobian_determinants(grids: Tensor) -> Tensor:
    along_x = (grids[:, :, 1:] - grids[:, :, :-1])[:, :-1]
    along_y = (grids[:, 1:] - grids[:, :-1])[:, :, :-1]
    return along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]


def test_the_identity_leaves_images_and_labels():
    images = torch.randn(2, 1, SIZE, SIZE, generator=generator_of(1))
    labels = torch.randint(0, 900, (2, SIZE, SIZE), generator=generator_of(2))
    warped, ids = warp(images, labels, random_grids(SIZE, STILL, generators(2)))
    torch.testing.assert_close(warped, images, rtol=1e-4, atol=1e-4)
    assert torch.equal(ids, labels)
    torch.testing.assert_close(random_intensities(images, STILL, generators(2)), images, rtol=1e-4, atol=1e-4)


def test_shifts_are_pixels_of_a_256_pixel_slice_and_move_image_and_labels_together():
    config = only(shift_px=40.0)
    grids = random_grids(SIZE, config, generators(20))
    offsets = grids - identity()
    bound_px = 40 * SIZE / 256
    shift_px = -offsets[:, 0, 0] * SIZE / 2  # the grid says where a pixel comes from
    torch.testing.assert_close(offsets, offsets[:, :1, :1].expand_as(offsets), rtol=0, atol=1e-6)
    assert (shift_px.abs() <= bound_px).all()
    assert (shift_px.abs() > bound_px / 2).any(dim=0).all()  # both axes
    assert (shift_px > 0).any(dim=0).all()
    assert (shift_px < 0).any(dim=0).all()
    labels = disc(6)
    for grid, expected in zip(grids, shift_px, strict=True):
        image, ids = warp(labels[:, None].float(), labels, grid[None])
        torch.testing.assert_close(centre(ids) - centre(labels), expected.double(), rtol=0, atol=0.6)
        assert ((image[:, 0] > 0.5) == (ids == 1)).float().mean() > 0.99


def test_a_scale_above_one_enlarges():
    labels = disc(8)
    _, ids = warp(torch.zeros(1, 1, SIZE, SIZE), labels, random_grids(SIZE, only(scale=(1.5, 1.5)), generators(1)))
    assert ids.sum() / labels.sum() == pytest.approx(1.5**2, rel=0.05)


def test_rotations_stay_within_their_bound_and_turn_both_ways():
    grids = random_grids(SIZE, only(rotation_deg=30.0), generators(30))
    step = (grids[:, :, 1:] - grids[:, :, :-1])[:, 0, 0]
    degrees = torch.atan2(step[:, 1], step[:, 0]).rad2deg()
    assert degrees.abs().max() <= 30.001
    assert degrees.min() < -15 < 15 < degrees.max()


@pytest.mark.parametrize("size", [128, 256])
def test_elastic_displacements_have_simards_size(size: int):
    # Uniform noise in -1..1 has the standard deviation 1 / sqrt(3); a Gaussian of sigma leaves 1 / (2 sqrt(pi) sigma)
    # of white noise's. Away from the border, where zeros are smoothed in.
    alpha, sigma = 10.0, 5.0
    offsets_px = (random_grids(size, only(elastic_alpha_px=alpha), generators(4)) - identity(size)) * size / 2
    inner = offsets_px[:, 20:-20, 20:-20].std().item()
    expected = alpha * 0.577 / (2 * math.sqrt(math.pi) * sigma)
    assert inner == pytest.approx(expected * size / 256, rel=0.15)


def test_smoothing_keeps_the_sum_and_has_its_sigma():
    field = torch.zeros(1, 1, 41, 41)
    field[0, 0, 20, 20] = 1
    blob = smooth(field, 3.0)[0, 0]
    assert blob.sum().item() == pytest.approx(1, abs=1e-4)
    axis = torch.arange(41) - 20.0
    assert (blob.sum(dim=0) * axis**2).sum().item() == pytest.approx(9, rel=0.05)
    torch.testing.assert_close(blob, blob.T)


@pytest.mark.parametrize("config", [*(p.train.augment for p in PRESETS.values()), SyntheticEpisodes.patients])
def test_left_and_right_are_never_flipped(config: AugmentConfig):
    grids = random_grids(SIZE, config, generators(30))
    corners = grids[:, [0, 0, -1], [0, -1, 0]]
    right, down = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0] > 0).all()
    assert (right[:, 0] > 0).all()
    assert (down[:, 1] > 0).all()


def test_affine_warps_have_a_positive_determinant_everywhere():
    config = only(rotation_deg=5.0, shear_deg=5.0, shift_px=5.0, scale=(0.9, 1.2))
    assert (jacobian_determinants(random_grids(SIZE, config, generators(30))) > 0).all()


def test_labels_stay_ids():
    labels = torch.tensor([0, 3, 700])[torch.randint(0, 3, (8, SIZE, SIZE), generator=generator_of(3))]
    config = AugmentConfig(rotation_deg=30, elastic_alpha_px=40)
    _, ids = warp(torch.zeros(8, 1, SIZE, SIZE), labels, random_grids(SIZE, config, generators(8)))
    assert ids.dtype == torch.long
    assert set(ids.unique().tolist()) <= {0, 3, 700}


def test_outside_of_the_slice_labels_are_none_and_the_image_goes_on():
    images, labels = torch.full((1, 1, SIZE, SIZE), 5.0), torch.full((1, SIZE, SIZE), 7)
    image, ids = warp(images, labels, identity() + 1.0)  # half a slice off, both ways
    torch.testing.assert_close(image, images)
    assert (ids[0, : SIZE // 2 - 1, : SIZE // 2 - 1] == 7).all()
    assert (ids[0, SIZE // 2 + 1 :] == 0).all()


def test_gamma_keeps_the_range_and_bends_the_middle():
    images = torch.tensor([-2.0, 0.0, 2.0]).reshape(1, 1, 1, 3).expand(1, 1, 3, 3)
    bent = random_intensities(images, only(gamma=(2.0, 2.0)), generators(1))
    # 0 is halfway: -2 + 4 x 0.5^2.
    torch.testing.assert_close(bent[0, 0, 0], torch.tensor([-2.0, -1.0, 2.0]))


def test_noise_is_in_units_of_the_image():
    images = 100 * torch.randn(40, 1, SIZE, SIZE, generator=generator_of(4))
    noise = random_intensities(images, only(noise=0.2), generators(40)) - images
    levels = noise.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert levels.max() <= 0.21
    assert levels.mean().item() == pytest.approx(0.1, abs=0.03)  # drawn from 0 to 0.2


def test_a_constant_slice_stays_finite():
    config = AugmentConfig(bias_field=0.3, noise=0.1)
    assert random_intensities(torch.full((1, 1, 8, 8), 3.0), config, generators(1)).isfinite().all()


def test_generators_depend_on_their_keys_alone():
    def draw(*keys: int) -> tuple[float, ...]:
        return tuple(torch.rand(4, generator=generator_of(*keys)).tolist())

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(a, b) for a in range(10) for b in range(10)}) == 100
    assert draw(1, 2) != draw(2, 1)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    config = AugmentConfig(bias_field=0.3, noise=0.1)
    random_intensities(torch.zeros(2, 1, SIZE, SIZE), config, generators(2))
    random_grids(SIZE, config, generators(2))
    assert torch.equal(torch.random.get_rng_state(), before)
