from typing import Any

import pytest
import torch
from torch import Tensor, nn

from psmnet.models.psm_net import PSMNet, PSMNetSettings
from psmnet.models.tensors import Prototypes, Support, concatenate

C, SIZE = 8, 32
FORMS = ["off", "text", "release"]


class Encoder(nn.Module):
    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, C, 4, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.patches(images)


def network(form: str = "text", **options: Any) -> PSMNet:
    torch.manual_seed(0)
    usual = {"split_rounds": 2, "minimal_area": 1, "grid": 4, "grid_at_inference": 2, "weigh_area": False}
    model = PSMNet(Encoder(), C, PSMNetSettings(attention=form, **(usual | options)))  # type: ignore[arg-type]
    if model.attention is not None:
        for block in model.attention.w:
            nn.init.normal_(block.weight, std=0.3)
            nn.init.normal_(block.bias, std=0.3)
    return model.eval()


def images(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def squares(count: int, targets: int) -> Tensor:
    """Masks (count, targets, SIZE, SIZE), each a square of its own."""
    masks = torch.zeros(count, targets, SIZE, SIZE)
    for n in range(count):
        for k in range(targets):
            masks[n, k, 3 + 5 * k : 13 + 5 * k, 2 + 3 * n : 16 + 3 * n] = 1
    return masks


def logits(model: PSMNet, support: Support, queries: Tensor) -> Tensor:
    return model.match(model.encode(queries), support).logits


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weigh_area", [False, True])
def test_shapes(form: str, weigh_area: bool):
    model = network(form, weigh_area_at_inference=weigh_area)
    features = model.encode(images(3))
    assert [m.shape for m in features.maps] == [(3, C, SIZE // 4, SIZE // 4)]
    support = model.describe(features, squares(3, 2))
    assert support.foreground[0].vectors.shape == (3, 2, 1 + 2**2, C)  # global and local
    assert support.background[0].vectors.shape == (3, 2, 2**2, C)
    assert support.background[1].vectors.shape == (3, 1, (SIZE // 4 // 2) ** 2, C)  # shared by the targets
    assert (support.guidance is None) == (form == "off")
    prediction = model.match(features, support)
    assert prediction.logits.shape == (3, 2, 2, SIZE, SIZE)
    assert prediction.foreground.shape == (3, 2, SIZE, SIZE)
    assert prediction.extra_losses == {}


def test_windows_and_areas_count_otherwise_while_training():
    model = network("off", weigh_area=True).train()
    trained = model.describe(model.encode(images(3)), squares(3, 2))
    assert trained.background[1].vectors.shape == (3, 1, (SIZE // 4 // 4) ** 2, C)
    expected = logits(network("off", grid_at_inference=4, weigh_area_at_inference=True), trained, images(3, seed=2))
    torch.testing.assert_close(logits(model, trained, images(3, seed=2)), expected)


def test_without_grid_and_splitting_there_is_one_background_prototype():
    model = network("off", grid_at_inference=0, split_rounds=0)
    support = model.describe(model.encode(images(1)), squares(1, 1))
    assert support.background[0].vectors.shape == (1, 1, 1, C)


def test_the_foreground_can_be_left_whole():
    model = network("off", split_foreground=False)
    support = model.describe(model.encode(images(1)), squares(1, 1))
    valid = support.foreground[0].valid[0, 0].tolist()
    assert valid == [True, True, False, False, False]  # global, and one local that equals it
    torch.testing.assert_close(support.foreground[0].vectors[0, 0, 0], support.foreground[0].vectors[0, 0, 1])
    assert support.background[0].valid[0, 0, :4].sum() > 1


@pytest.mark.parametrize("form", FORMS)
def test_targets_in_one_call_equal_targets_one_by_one(form: str):
    model, masks = network(form), squares(2, 3)
    features = model.encode(images(2))
    together = logits(model, model.describe(features, masks), images(2, seed=2))
    for k in range(3):
        alone = logits(model, model.describe(features, masks[:, k : k + 1]), images(2, seed=2))
        torch.testing.assert_close(together[:, k : k + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_a_query_does_not_depend_on_the_rest_of_the_batch(form: str):
    model, masks = network(form), squares(3, 2)
    supports, queries = images(3), images(3, seed=2)
    together = logits(model, model.describe(model.encode(supports), masks), queries)
    for i in range(3):
        one = slice(i, i + 1)
        alone = logits(model, model.describe(model.encode(supports[one]), masks[one]), queries[one])
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["off", "text"])
def test_the_order_of_shots_does_not_matter(form: str):
    model, masks, supports = network(form), squares(3, 2), images(3)
    queries = images(2, seed=2)
    order = torch.tensor([2, 0, 1])
    forth = model.describe(model.encode(supports), masks).join(3)
    back = model.describe(model.encode(supports[order]), masks[order]).join(3)
    assert forth.foreground[0].vectors.shape == (1, 2, 3 * 5, C)
    torch.testing.assert_close(logits(model, forth, queries), logits(model, back, queries), rtol=1e-4, atol=1e-4)


def test_the_same_slice_twice_is_that_slice_once_but_for_the_softmax():
    # Every prototype is doubled, so each one's share of the softmax halves and the score stays.
    model, masks, support_image, query = network(), squares(1, 2), images(1), images(1, seed=2)
    once = model.describe(model.encode(support_image), masks)
    twice = model.describe(model.encode(support_image.repeat(2, 1, 1, 1)), masks.repeat(2, 1, 1, 1)).join(2)
    torch.testing.assert_close(logits(model, once, query), logits(model, twice, query), rtol=1e-4, atol=1e-4)


def test_join_merges_consecutive_slices():
    # Slices 0, 1 | 2, 3 with one target and two prototypes whose one channel is 10 * slice + number.
    vectors = torch.tensor([[[[10.0 * n], [10.0 * n + 1]]] for n in range(4)])
    weights = torch.ones(4, 1, 2)
    joined = Prototypes(vectors, weights).join(2)
    assert joined.vectors[:, 0, :, 0].tolist() == [[0, 1, 10, 11], [20, 21, 30, 31]]
    assert joined.weights.shape == (2, 1, 4)


@pytest.mark.parametrize("form", FORMS)
def test_one_support_serves_all_queries(form: str):
    model = network(form)
    support = model.describe(model.encode(images(1)), squares(1, 2))
    queries = images(3, seed=2)
    shared = logits(model, support, queries)
    assert shared.shape == (3, 2, 2, SIZE, SIZE)
    selected = logits(model, support.select(torch.zeros(3, dtype=torch.long)), queries)
    torch.testing.assert_close(shared, selected, rtol=1e-4, atol=1e-4)


def test_select_gives_each_query_its_own_support():
    model, queries = network(), images(2, seed=2)
    supports = model.describe(model.encode(images(2)), squares(2, 1))
    crossed = logits(model, supports.select(torch.tensor([1, 0])), queries)
    second = logits(model, supports.select(torch.tensor([1])), queries[:1])
    torch.testing.assert_close(crossed[:1], second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weigh_area", [False, True])
def test_degenerate_masks_give_finite_logits_and_gradients(form: str, weigh_area: bool):
    model = network(form, weigh_area_at_inference=weigh_area)
    masks = torch.zeros(1, 3, SIZE, SIZE)
    masks[:, 1] = 1  # the first stays empty
    masks[:, 2, 9, 9] = 1  # one pixel, less than half of any feature position
    support = model.describe(model.encode(images(1)), masks)
    predicted = logits(model, support, images(2, seed=2))
    assert predicted.isfinite().all()
    assert (predicted[:, 0, 1] == -20).all()  # no foreground to find
    assert (predicted[:, 1, 0] == -20).all()  # no background
    assert support.foreground[0].valid[0, 2, 0]  # a pixel is enough to be found by
    predicted.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.encoder.patches.weight.grad.abs().sum() > 0


def test_the_support_finds_itself():
    # Two grey levels: the mask's own slice is segmented without error.
    model, masks = network("off"), squares(1, 1)
    masks[...] = 0
    masks[0, 0, 8:20, 4:16] = 1  # whole feature positions
    image = masks * 4 - 1
    prediction = model.match(model.encode(image), model.describe(model.encode(image), masks))
    inner = prediction.foreground[0, 0] > 0.5
    assert inner[10:18, 6:14].all()
    assert not inner[24:, 20:].any()


def test_the_released_form_serves_one_shot_in_evaluation():
    model = network("release")
    described = model.describe(model.encode(images(3)), squares(3, 2))
    alone = concatenate([described])
    assert torch.equal(alone.guidance.maps, described.guidance.maps)
    assert model.match(model.encode(images(3)), alone).logits.shape[:2] == (3, 2)


def test_what_is_for_use_alone_leaves_training_as_it_is():
    plain, changed = network("off").train(), network("off", refine_at_inference=2, position_at_inference=0.5).train()
    support = plain.describe(plain.encode(images(2)), squares(2, 2))
    again = changed.describe(changed.encode(images(2)), squares(2, 2))
    assert torch.equal(logits(plain, support, images(2, seed=2)), logits(changed, again, images(2, seed=2)))


@pytest.mark.parametrize("options", [{"refine_at_inference": 2}, {"position_at_inference": 0.5}])
def test_what_is_for_use_changes_it_and_takes_slices_and_targets_one_by_one(options: dict[str, Any]):
    model, masks, queries = network("off", **options), squares(2, 2), images(2, seed=2)
    described = model.describe(model.encode(images(2)), masks)
    together = logits(model, described, queries)
    plain = network("off")
    assert not torch.allclose(together, logits(plain, plain.describe(plain.encode(images(2)), masks), queries))
    for i in range(2):
        for k in range(2):
            support = model.describe(model.encode(images(2)[i : i + 1]), masks[i : i + 1, k : k + 1])
            alone = logits(model, support, queries[i : i + 1])
            torch.testing.assert_close(together[i : i + 1, k : k + 1], alone, rtol=1e-4, atol=1e-4)
