import math

import pytest
import torch

from psmnet.models.losses import IGNORE, segmentation_loss

ALL = torch.ones(1, 1, dtype=torch.bool)


def logits_of(margins: list[float], base: float = 3.0) -> torch.Tensor:
    """(1, 1, 2, 1, W) with these differences foreground - background."""
    margin = torch.tensor(margins)
    return torch.stack([torch.full_like(margin, base), base + margin])[None, None, :, None]


def masks_of(values: list[float]) -> torch.Tensor:
    return torch.tensor(values)[None, None, None]


def cross_entropy(margin: float, foreground: bool) -> float:
    return math.log(1 + math.exp(-margin if foreground else margin))


def test_weighted_mean_by_hand():
    loss = segmentation_loss(logits_of([2.0, 0.5, -1.0]), masks_of([1, 0, 0]), ALL, (0.05, 1.0))
    terms = cross_entropy(2, True) + 0.05 * (cross_entropy(0.5, False) + cross_entropy(-1, False))
    assert loss.item() == pytest.approx(terms / (1 + 2 * 0.05), rel=1e-5)


def test_equals_torchs_weighted_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 2, 5, 6, generator=generator)
    masks = torch.randint(0, 2, (1, 1, 5, 6), generator=generator).float()
    masks[..., 0] = IGNORE
    expected = torch.nn.functional.cross_entropy(
        logits[0], masks[0].long(), weight=torch.tensor([0.05, 1.0]), ignore_index=IGNORE
    )
    torch.testing.assert_close(segmentation_loss(logits, masks, ALL, (0.05, 1.0)), expected)


def test_ignored_pixels_count_nothing():
    whole = segmentation_loss(logits_of([2.0, 0.5]), masks_of([1, 0]), ALL, (0.05, 1.0))
    padded = segmentation_loss(logits_of([2.0, 0.5, 9.0]), masks_of([1, 0, IGNORE]), ALL, (0.05, 1.0))
    torch.testing.assert_close(whole, padded)


def test_targets_count_equally_whatever_their_area():
    logits = torch.cat([logits_of([2.0, 2.0]), logits_of([-1.0, -1.0])], dim=1)
    masks = torch.cat([masks_of([1, 1]), masks_of([1, IGNORE])], dim=1)
    loss = segmentation_loss(logits, masks, torch.ones(1, 2, dtype=torch.bool), (0.05, 1.0))
    assert loss.item() == pytest.approx((cross_entropy(2, True) + cross_entropy(-1, True)) / 2, rel=1e-5)


def test_invalid_targets_count_nothing():
    logits = torch.cat([logits_of([2.0, 0.5]), logits_of([-9.0, 9.0])], dim=1)
    masks = torch.cat([masks_of([1, 0]), masks_of([1, 0])], dim=1)
    loss = segmentation_loss(logits, masks, torch.tensor([[True, False]]), (0.05, 1.0))
    torch.testing.assert_close(loss, segmentation_loss(logits[:, :1], masks[:, :1], ALL, (0.05, 1.0)))


@pytest.mark.parametrize(("masks", "valid"), [([1.0, 0.0], False), ([float(IGNORE)] * 2, True)])
def test_nothing_to_learn_from_gives_zero_with_finite_gradient(masks: list[float], valid: bool):
    logits = logits_of([2.0, 0.5]).requires_grad_()
    loss = segmentation_loss(logits, masks_of(masks), torch.tensor([[valid]]), (0.05, 1.0))
    assert loss.item() == 0
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_large_logits_stay_finite():
    loss = segmentation_loss(logits_of([-500.0, 500.0]), masks_of([1, 0]), ALL, (1.0, 1.0))
    assert loss.item() == pytest.approx(500)
