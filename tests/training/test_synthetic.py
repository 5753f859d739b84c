from dataclasses import fields

import pytest
import torch
from torch import Tensor

from psmnet.models.tensors import Episode
from psmnet.training.augment import generator_of
from psmnet.training.synthetic import SyntheticEpisodes, paint, random_label_map

SIZE = 48


def tensors(episode: Episode) -> list[Tensor]:
    return [getattr(episode, field.name) for field in fields(episode)]


def listed(pairs: int, batches: int, seed: int = 0) -> list[Tensor]:
    source = SyntheticEpisodes(SIZE, pairs, 3, seed)
    return [torch.cat(parts) for parts in zip(*(tensors(source.batch(i)) for i in range(batches)), strict=True)]


def test_shapes():
    episode = SyntheticEpisodes(SIZE, 2, 5, 0).batch(0)
    assert episode.support_images.shape == (2, 1, 1, SIZE, SIZE)
    assert episode.support_masks.shape == (2, 1, 5, SIZE, SIZE)
    assert episode.query_images.shape == (2, 1, SIZE, SIZE)
    assert episode.query_masks.shape == (2, 5, SIZE, SIZE)
    assert episode.valid.shape == (2, 5)


def test_batch_composition_does_not_matter():
    for by_two, by_three in zip(listed(2, 3), listed(3, 2), strict=True):
        assert torch.equal(by_two, by_three)


def test_seeds_and_numbers_differ():
    assert len(torch.cat([listed(3, 2)[0], listed(3, 2, seed=1)[0]]).flatten(1).unique(dim=0)) == 12


def test_the_global_generator_neither_matters_nor_moves():
    torch.manual_seed(1)
    first = listed(2, 1)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = listed(2, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_episodes_are_never_empty_finite_and_normalised():
    support_images, support_masks, query_images, query_masks, valid = listed(10, 2)
    assert valid.any(dim=1).all()
    assert (support_masks[:, 0].sum(dim=(2, 3))[valid] > 0).all()
    assert (query_masks.sum(dim=(2, 3))[valid] > 0).all()
    for images in (support_images[:, 0], query_images):
        assert images.isfinite().all()
        torch.testing.assert_close(images.mean(dim=(1, 2, 3)), torch.zeros(20), rtol=0, atol=1e-4)
        torch.testing.assert_close(images.std(dim=(1, 2, 3)), torch.ones(20), rtol=0, atol=1e-4)


def test_the_two_are_different_patients_with_the_same_organs():
    episode = SyntheticEpisodes(SIZE, 4, 2, 0).batch(0)
    assert not torch.equal(episode.support_images[:, 0], episode.query_images)
    both = episode.valid
    areas = torch.stack([episode.support_masks[:, 0].sum(dim=(2, 3))[both], episode.query_masks.sum(dim=(2, 3))[both]])
    assert not torch.equal(areas[0], areas[1])


@pytest.mark.parametrize("size", [32, 48, 80])
def test_a_label_map_is_a_body_in_air_with_a_rim(size: int):
    labels = random_label_map(size, generator_of(7))
    assert labels.shape == (size, size)
    assert labels.dtype == torch.long
    corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all()
    assert (labels == 1).any()
    assert len(labels.unique()) > 4
    assert labels[size // 2, size // 2] > 1


def test_a_tissue_looks_alike_in_both_patients():
    labels = random_label_map(SIZE, generator_of(7))
    images = paint(torch.stack([labels, labels]), generator_of(8))
    assert images.shape == (2, 1, SIZE, SIZE)
    assert (images >= 0).all()
    large = [int(i) for i in labels.unique() if (labels == i).sum() > 40]
    means = torch.tensor([[image[0][labels == i].mean() for i in large] for image in images])
    assert torch.corrcoef(means)[0, 1] > 0.8
    assert not torch.equal(images[0], images[1])
