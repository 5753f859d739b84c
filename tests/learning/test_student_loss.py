"""Losses of a student, with numbers derived by hand."""

import math

import pytest
import torch
from torch import Tensor

from psmnet.learning.student_loss import student_losses
from psmnet.learning.targets import IGNORED


def even(count: int, pixels: int) -> Tensor:
    """Logits of two organs and background that are equally likely everywhere."""
    return torch.zeros(count, 3, 1, pixels)


def losses(logits: Tensor, labels: list[list[int]], opened: list[list[bool]]) -> tuple[float, float]:
    found = student_losses(logits, torch.tensor(labels)[:, None], torch.tensor(opened))
    return found["cross_entropy"].item(), found["dice"].item()


def test_even_probabilities():
    """Each pixel costs ln 3. Each organ has 4 pixels of 1/3 against one of 1: Dice 2 (1/3) / (4/3 + 1) = 2/7."""
    entropy, dice = losses(even(1, 4), [[0, 1, 2, 0]], [[False, False]])
    assert entropy == pytest.approx(math.log(3))
    assert dice == pytest.approx(1 - 2 / 7)


def test_ignored_pixels_do_not_count():
    """Without the last two pixels an organ has 2 pixels of 1/3 against one of 1: 2 (1/3) / (2/3 + 1) = 2/5."""
    logits = even(1, 4)
    logits[0, 2, 0, 2:] = 50.0
    entropy, dice = losses(logits, [[0, 1, IGNORED, IGNORED]], [[False, False]])
    assert entropy == pytest.approx(math.log(3))
    assert dice == pytest.approx(1 - 2 / 5)


def test_background_may_be_an_open_organ():
    """Background or organ 2 has 2/3: two pixels of -ln(2/3) and one of ln 3. Organ 2 is not in the Dice loss."""
    entropy, dice = losses(even(1, 3), [[0, 1, 0]], [[False, True]])
    assert entropy == pytest.approx((2 * math.log(3 / 2) + math.log(3)) / 3)
    assert dice == pytest.approx(1 - (2 / 3) / (1 + 1))


def test_an_organ_that_is_predicted_where_it_is_open_costs_nothing():
    logits = torch.full((1, 3, 1, 2), -50.0)
    logits[0, 2, 0, 0] = 50.0  # organ 2
    logits[0, 1, 0, 1] = 50.0  # organ 1
    assert losses(logits, [[0, 1]], [[False, True]]) == (pytest.approx(0, abs=1e-5), pytest.approx(0, abs=1e-5))
    assert losses(logits, [[0, 1]], [[False, False]])[0] > 10


def test_an_organ_counts_in_the_images_where_it_is_known():
    """Image 1 does not tell of organ 2. In image 2 it has 2 pixels of 1/3 against one: Dice 2/5; organ 1 has, over
    both, 4 pixels of 1/3 against one: 2/7."""
    _, dice = losses(even(2, 2), [[1, 0], [2, 0]], [[False, True], [False, False]])
    assert dice == pytest.approx(1 - (2 / 5 + 2 / 7) / 2)


def test_where_nothing_is_shown_there_is_no_dice_loss():
    assert losses(even(1, 3), [[0, 0, 0]], [[False, False]])[1] == 0


def test_right_and_certain_costs_nothing():
    logits = 50.0 * torch.eye(3)[None, :, None, :]
    assert losses(logits, [[0, 1, 2]], [[False, False]]) == (pytest.approx(0, abs=1e-5), pytest.approx(0, abs=1e-5))


def test_gradients_are_finite_where_an_organ_is_open():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 4))
    sum(student_losses(logits, labels, torch.tensor([[True, True], [False, True]])).values()).backward()
    assert torch.isfinite(logits.grad).all()


def test_a_batch_without_a_label_costs_nothing():
    assert losses(even(1, 3), [[IGNORED] * 3], [[False, False]]) == (0, 0)
