import pytest
import torch
from torch import Tensor

from psmnet.models.pooling import class_weights, foreground_members, masked_average
from psmnet.models.psm import split, sub_masks

FOREGROUND = (1.0, 0.0)
BULK = (0.0, 1.0)  # most of the background
STRANGER = (1.0, 0.2)  # background that looks more like the foreground than like the bulk


def two_clusters() -> tuple[Tensor, Tensor]:
    """Features (1, 2, 4, 4) and mask: 4 foreground positions, 10 of the bulk, 2 strangers."""
    features = torch.tensor(BULK)[:, None, None].repeat(1, 4, 4)
    features[:, :2, :2] = torch.tensor(FOREGROUND)[:, None, None]
    features[:, 3, 2:] = torch.tensor(STRANGER)[:, None]
    masks = torch.zeros(1, 1, 4, 4)
    masks[0, 0, :2, :2] = 1
    return features[None], masks


def random_case(seed: int, targets: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 4, 9, 7, generator=generator)
    masks = (torch.rand(2, targets, 9, 7, generator=generator) > 0.7).float()
    return features, masks


def same_partition(first: Tensor, second: Tensor) -> bool:
    pairs = torch.stack([first.flatten(), second.flatten()]).unique(dim=1).shape[1]
    return pairs == len(first.unique()) == len(second.unique())


@pytest.mark.parametrize("rounds", [0, 1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_sub_masks_of_a_class_are_disjoint_and_their_union_is_the_class(seed: int, rounds: int):
    features, masks = random_case(seed)
    part = split(features, masks, rounds)
    assert part.dtype == torch.long
    assert 0 <= part.min() <= part.max() < 2**rounds
    for weights in class_weights(masks):
        parts = sub_masks(part, weights, 2**rounds)
        assert parts.shape == (2, 3, 2**rounds, 9, 7)
        assert ((parts > 0).sum(dim=2) <= 1).all()
        torch.testing.assert_close(parts.sum(dim=2), weights)


def test_no_rounds_no_split():
    features, masks = random_case(0)
    assert (split(features, masks, 0) == 0).all()


def test_random_features_do_split():
    features, masks = random_case(0)
    assert len(split(features, masks, 2).unique()) > 2


def test_splitting_is_deterministic():
    features, masks = random_case(1)
    assert torch.equal(split(features, masks, 3), split(features.clone(), masks.clone(), 3))


def test_a_further_round_only_divides():
    features, masks = random_case(2, targets=1)
    before, after = split(features, masks, 1), split(features, masks, 3)
    foreground = foreground_members(masks)
    for slice_number in range(2):
        for members in (foreground[slice_number, 0], ~foreground[slice_number, 0]):
            fine, coarse = after[slice_number, 0][members], before[slice_number, 0][members]
            assert all(len(coarse[fine == number].unique()) == 1 for number in fine.unique())


def test_slices_and_targets_do_not_see_each_other():
    features, masks = random_case(3)
    together = split(features, masks, 3)
    foreground = foreground_members(masks)
    for n in range(2):
        for k in range(3):
            alone = split(features[n : n + 1], masks[n : n + 1, k : k + 1], 3)[0, 0]
            for members in (foreground[n, k], ~foreground[n, k]):
                assert same_partition(alone[members], together[n, k][members])


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_two_clusters_inside_the_background_become_its_two_parts(rounds: int):
    # Round 1: the background's average is (2, 10.4) / 12, 79 degrees from the foreground and 68 from the strangers,
    # which lie 11 degrees from the foreground: they are missed. From then on each has its own prototype: all is
    # segmented and no further round divides anything.
    features, masks = two_clusters()
    part = split(features, masks, rounds)
    expected = torch.zeros(4, 4, dtype=torch.long)
    expected[3, 2:] = 1
    assert torch.equal(part[0, 0], expected)
    background, _ = class_weights(masks)
    prototypes = masked_average(features, sub_masks(part, background, 2**rounds))
    torch.testing.assert_close(prototypes.vectors[0, 0, :2], torch.tensor([BULK, STRANGER]))
    assert prototypes.weights[0, 0].tolist() == [10.0, 2.0, *[0.0] * (2**rounds - 2)]


def test_a_part_below_the_minimal_area_stays_with_its_sibling():
    features, masks = two_clusters()
    assert split(features, masks, 2, minimal_area=2).max() == 1  # the strangers are two positions
    assert (split(features, masks, 2, minimal_area=3) == 0).all()


def test_nothing_missed_nothing_split():
    features, masks = two_clusters()
    features[0, :, 3, 2:] = torch.tensor(BULK)[:, None]
    assert (split(features, masks, 4) == 0).all()


def test_degenerate_masks():
    features, _ = random_case(4)
    masks = torch.zeros(2, 3, 9, 7)
    masks[:, 0, 4, 4] = 1  # one position
    masks[:, 1] = 1  # all of them; the third is empty
    part = split(features, masks, 3)
    assert (part[:, 0, 4, 4] == 0).all()  # one position can't be divided
    for weights in class_weights(masks):
        prototypes = masked_average(features, sub_masks(part, weights, 8))
        assert prototypes.vectors.isfinite().all()
        torch.testing.assert_close(prototypes.weights.sum(dim=-1), weights.sum(dim=(-2, -1)))
    # A class without rival is segmented entirely, so nothing divides.
    assert (part[:, 1:] == 0).all()


def test_splitting_takes_no_gradient():
    features, masks = random_case(5)
    assert not split(features.requires_grad_(), masks, 2).requires_grad
