import math

import pytest
import torch

from psmnet.models.cache_blocks import BLOCK
from psmnet.models.pooling import masked_average
from psmnet.models.scoring import (
    ABSENT_SCORE,
    cosine_score,
    cosine_sums,
    match_prototypes,
    query_prototypes,
    unit_features,
)
from psmnet.models.tensors import Features, Prototypes, Support


def prototypes(vectors: list[list[float]], weights: list[float]) -> Prototypes:
    return Prototypes(torch.tensor([[vectors]]), torch.tensor([[weights]]))


def units(features: torch.Tensor) -> torch.Tensor:
    """Of length 1 over channels, the third axis; zero stays zero."""
    return torch.nn.functional.normalize(features, dim=2, eps=1e-6)


def test_cosine_score_of_one_prototype_is_twenty_cosines_whatever_the_lengths():
    features = torch.tensor([3.0, 4.0])[None, None, :, None]
    score = cosine_score(units(features), prototypes([[10.0, 0.0]], [1.0]))
    torch.testing.assert_close(score, torch.tensor([[[20 * 3 / 5]]]))


def test_cosine_score_mixes_prototypes_by_softmax():
    # Cosines 0.6 and 0.8 are scores 12 and 16; softmax gives them 1 : e^4.
    features = torch.tensor([0.6, 0.8])[None, None, :, None]
    score = cosine_score(units(features), prototypes([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0]))
    expected = (12 + 16 * math.exp(4)) / (1 + math.exp(4))
    assert score.item() == pytest.approx(expected, rel=1e-5)


def test_weigh_area_multiplies_each_part_by_its_area():
    features = torch.tensor([0.6, 0.8])[None, None, :, None]
    both = prototypes([[1.0, 0.0], [0.0, 1.0]], [90.0, 2.0])
    expected = (90 * 12 + 2 * 16 * math.exp(4)) / (90 + 2 * math.exp(4))
    assert cosine_score(units(features), both, weigh_area=True).item() == pytest.approx(expected, rel=1e-5)
    unweighted = (12 + 16 * math.exp(4)) / (1 + math.exp(4))
    assert cosine_score(units(features), both).item() == pytest.approx(unweighted, rel=1e-5)


@pytest.mark.parametrize("weigh_area", [False, True])
def test_a_prototype_that_is_not_there_has_no_part(weigh_area: bool):
    features = units(torch.randn(1, 1, 4, 5, generator=torch.Generator().manual_seed(0)))
    alone = prototypes([[1.0, 0.0, 2.0, 0.0]], [3.0])
    padded = prototypes([[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]], [3.0, 0.0])
    torch.testing.assert_close(
        cosine_score(units(features), padded, weigh_area=weigh_area),
        cosine_score(units(features), alone, weigh_area=weigh_area),
    )


@pytest.mark.parametrize("weigh_area", [False, True])
def test_an_absent_class_scores_the_lowest_with_finite_gradients(weigh_area: bool):
    features = torch.randn(1, 1, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    maps = torch.zeros(1, 4, 2, 2, requires_grad=True)
    score = cosine_score(units(features), masked_average(maps, torch.zeros(1, 1, 2, 2, 2)), weigh_area=weigh_area)
    assert (score == ABSENT_SCORE).all()
    assert ABSENT_SCORE == -20
    score.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_zero_features_score_zero_with_finite_gradients():
    features = torch.zeros(1, 1, 2, 3, requires_grad=True)
    score = cosine_score(units(features), prototypes([[1.0, 0.0]], [1.0]))
    assert (score == 0).all()
    score.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


# ---- the query's own ------------------------------------------------------------------------------------------


def test_a_query_gives_prototypes_where_a_first_match_is_sure():
    """4 x 4 positions: sure foreground in the left column pair's top, sure background in the right half."""
    features = torch.arange(16.0).reshape(1, 1, 4, 4).expand(1, 2, 4, 4)
    probability = torch.full((1, 1, 4, 4), 0.5)
    probability[..., :3, :2] = 0.95  # six positions: 0, 1, 4, 5, 8, 9
    probability[..., 2:] = 0.05
    background, foreground = query_prototypes(features, probability, side=2)
    assert foreground.vectors[0, 0, 0].tolist() == pytest.approx([4.5, 4.5])
    assert foreground.weights[0, 0, 0] == pytest.approx(6 * 0.95)
    assert background.valid[0, 0].tolist() == [False, True, False, True]
    assert background.vectors[0, 0, :, 0].tolist() == pytest.approx([2.5, 4.5, 10.5, 12.5])


def test_too_little_sure_foreground_gives_neither():
    probability = torch.full((1, 1, 4, 4), 0.05)
    probability[..., 0, :] = 0.99  # four positions
    for prototypes in query_prototypes(torch.randn(1, 2, 4, 4), probability, side=2):
        assert not prototypes.valid.any()


def test_sums_of_sets_add_up():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 1, 3, 5, generator=generator)
    one, two = (Prototypes(torch.randn(2, 2, n, 3, generator=generator), torch.ones(2, 2, n)) for n in (2, 4))
    apart = cosine_sums(units(features), one) + cosine_sums(units(features), two)
    torch.testing.assert_close(apart.score(), cosine_score(units(features), one, two))


def test_unit_features_are_of_length_one_and_flat():
    maps = torch.tensor([[[[3.0, 0.0]], [[4.0, 2.0]]]])  # N=1 C=2 h=1 w=2: (3, 4) and (0, 2)
    assert unit_features(maps).tolist() == [[[pytest.approx([0.6, 0.0]), pytest.approx([0.8, 1.0])]]]


@pytest.mark.parametrize("shared", [False, True])
def test_a_score_is_the_softmax_weighted_mean_however_it_is_divided(shared: bool):
    generator = torch.Generator().manual_seed(1)
    places = BLOCK + 7  # two blocks on a CPU
    features = torch.randn(2, 1, 3, places, generator=generator)
    vectors = torch.randn(1, 1 if shared else 2, 4, 3, generator=generator)
    weights = torch.tensor([[[1.0, 2.0, 0.0, 3.0], [0.0, 1.0, 0.0, 0.0]]])  # the third is nobody's
    scores = cosine_score(units(features), Prototypes(vectors, weights), weigh_area=True)
    for image, target, place in ((0, 0, 0), (1, 0, BLOCK), (1, 1, BLOCK + 6)):
        at = vectors[0, 0 if shared else target]
        cosines = 20 * torch.cosine_similarity(features[image, 0, :, place], at, dim=-1)
        shares = weights[0, target] * cosines.exp()
        expected = (shares * cosines).sum() / shares.sum()
        torch.testing.assert_close(scores[image, target, place], expected, rtol=1e-4, atol=1e-4)


def test_needed_scores_are_those_of_the_whole():
    generator = torch.Generator().manual_seed(2)
    features = Features((torch.randn(2, 8, 6, 6, generator=generator),))
    pixels = torch.zeros(24, 24, dtype=torch.bool)
    pixels[5:11, 13:14] = True
    own = (Prototypes(torch.randn(1, 1, 3, 8, generator=generator), torch.ones(1, 1, 3)) for _ in range(2))
    support = Support(*((one,) for one in own))
    needed = features.within(pixels).needed
    assert needed is not None
    assert 0 < needed.sum() < needed.numel()
    flat = features.maps[0].flatten(2)[:, None]
    whole, part = (
        match_prototypes(flat, support, (6, 6), 4, weigh_area=False, needed=where).logits for where in (None, needed)
    )
    torch.testing.assert_close(part[..., pixels], whole[..., pixels])
    assert not torch.equal(part, whole)
