import torch

from psmnet.models.pooling import (
    class_weights,
    foreground_members,
    grid_prototypes,
    masked_average,
    masks_at_features,
)


def test_masked_average_weighs_by_the_mask():
    features = torch.tensor([[[[1.0, 2.0, 6.0]], [[0.0, 4.0, 8.0]]]])  # N=1 C=2 h=1 w=3
    weights = torch.tensor([[[[[1.0, 0.0, 1.0]], [[0.0, 0.5, 0.25]], [[0.0, 0.0, 0.0]]]]])  # K=1 P=3
    average = masked_average(features, weights)
    # (1 + 6) / 2, (0 + 8) / 2; then (0.5 * 2 + 0.25 * 6) / 0.75, (0.5 * 4 + 0.25 * 8) / 0.75; then nothing.
    expected = torch.tensor([[3.5, 4.0], [2.5 / 0.75, 4.0 / 0.75], [0.0, 0.0]])
    torch.testing.assert_close(average.vectors[0, 0], expected)
    assert average.weights.tolist() == [[[2.0, 0.75, 0.0]]]
    assert average.valid.tolist() == [[[True, True, False]]]


def test_members_are_at_least_one_half():
    masks = torch.tensor([[[[0.0, 0.49, 0.5, 1.0]]]])
    assert foreground_members(masks).tolist() == [[[[False, False, True, True]]]]


def test_a_small_mask_falls_back_to_its_maximum():
    masks = torch.tensor([[[[0.0, 0.1, 0.3, 0.3]]]])
    assert foreground_members(masks).tolist() == [[[[False, False, True, True]]]]


def test_an_empty_mask_has_no_members():
    assert not foreground_members(torch.zeros(1, 1, 2, 3)).any()


def test_targets_fall_back_on_their_own():
    masks = torch.tensor([[[[0.2, 0.1]], [[0.2, 0.9]]]])
    assert foreground_members(masks).tolist() == [[[[True, False]], [[False, True]]]]


def test_class_weights_are_the_soft_mask_over_the_members():
    background, foreground = class_weights(torch.tensor([[[[0.0, 0.4, 0.5, 1.0]]]]))
    torch.testing.assert_close(foreground, torch.tensor([[[[0.0, 0.0, 0.5, 1.0]]]]))
    torch.testing.assert_close(background, torch.tensor([[[[1.0, 0.6, 0.0, 0.0]]]]))


def test_masks_reach_the_feature_grid_with_their_mean():
    masks = torch.zeros(1, 1, 8, 8)
    masks[..., 4:] = 1
    small = masks_at_features(masks, (2, 4))
    assert small.shape == (1, 1, 2, 4)
    # Columns far from the edge keep their value, those beside it mirror each other.
    torch.testing.assert_close(small[..., 0], torch.zeros(1, 1, 2))
    torch.testing.assert_close(small[..., 3], torch.ones(1, 1, 2))
    torch.testing.assert_close(small[..., 1] + small[..., 2], torch.ones(1, 1, 2))
    assert (small[..., 1] < 0.5).all()
    assert masks_at_features(masks, (8, 8)) is masks


def test_grid_prototypes_are_the_windows_inside_the_mask():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    masks = torch.ones(1, 1, 4, 4)
    masks[0, 0, 0, 2] = 0.84  # upper right window: mean 0.96, above 0.95
    masks[0, 0, 2, 0] = 0.76  # lower left window: mean 0.94, below
    masks[0, 0, 2:, 2:] = 0
    grid = grid_prototypes(features, masks, 2)
    assert grid.vectors.shape == (1, 1, 4, 1)
    # Means of {0, 1, 4, 5}, {2, 3, 6, 7}, {8, 9, 12, 13}, {10, 11, 14, 15}.
    assert grid.vectors[0, 0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert grid.weights.tolist() == [[[4.0, 4.0, 0.0, 0.0]]]
