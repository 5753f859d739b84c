import pytest
import torch
from torch import Tensor, nn

from psmnet.errors import ConfigError
from psmnet.models.mcam import LEVELS, MultiLevelCrossAttention
from psmnet.models.pooling import masked_average
from psmnet.models.tensors import Guidance, Prototypes

C, HEIGHT, WIDTH = 4, 3, 5
FORMS = ["text", "release"]


def attention(form: str, *, moved: bool) -> MultiLevelCrossAttention:
    torch.manual_seed(0)
    module = MultiLevelCrossAttention(C, form)  # type: ignore[arg-type]
    if moved:
        for block in module.w:
            nn.init.normal_(block.weight)
            nn.init.normal_(block.bias)
    return module


class Case:
    """One support slice with one target (its weights, global and two local prototypes and a gap) and a query."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.support = torch.randn(1, C, HEIGHT, WIDTH, generator=generator)
        self.query = torch.randn(1, C, HEIGHT, WIDTH, generator=generator)
        self.weights = torch.zeros(1, 1, HEIGHT, WIDTH)
        self.weights[0, 0, 0, 1:4] = 1
        self.weights[0, 0, 1, 1:4] = torch.tensor([0.5, 1.0, 0.75])
        self.whole = masked_average(self.support, self.weights[:, :, None]).vectors[:, :, 0]
        vectors = torch.cat([torch.randn(1, 1, 2, C, generator=generator), torch.zeros(1, 1, 1, C)], dim=2)
        self.local = Prototypes(vectors, torch.tensor([[[3.0, 2.0, 0.0]]]))

    def describe(self, module: MultiLevelCrossAttention) -> Guidance:
        return module.describe(self.support, self.weights, self.whole, self.local)

    def guides(self) -> list[dict[int, Tensor]]:
        """By level: position to guide vector, at foreground positions."""
        flat = self.support[0].flatten(1)
        inside = [y for y, weight in enumerate(self.weights.flatten().tolist()) if weight > 0]
        nearest = {}
        for y in inside:
            cosines = [torch.cosine_similarity(flat[:, y], self.local.vectors[0, 0, p], dim=0) for p in range(2)]
            nearest[y] = self.local.vectors[0, 0, int(cosines[1] > cosines[0])]
        assert len({tuple(vector.tolist()) for vector in nearest.values()}) == 2  # both prototypes serve
        return [dict.fromkeys(inside, self.whole[0, 0]), nearest, {y: flat[:, y] for y in inside}]


def linear(convolution: nn.Module, vector: Tensor) -> Tensor:
    return convolution(vector[None, :, None, None])[0, :, 0, 0]


@pytest.mark.parametrize("form", FORMS)
def test_a_fresh_module_is_the_identity(form: str):
    case, module = Case(), attention(form, moved=False)
    enhanced = module.enhance(case.query, case.describe(module))
    assert enhanced.shape == (1, 1, C, HEIGHT * WIDTH)
    torch.testing.assert_close(enhanced[:, 0], case.query.flatten(2), rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_at_first_only_w_learns_then_all(form: str):
    case = Case()
    for moved in (False, True):
        module = attention(form, moved=moved)
        module.enhance(case.query, case.describe(module)).square().sum().backward()
        for level in range(LEVELS):
            assert module.w[level].weight.grad.abs().sum() > 0
            assert module.w[level].bias.grad.abs().sum() > 0
            for blocks in (module.theta, module.phi, module.g):
                assert (blocks[level].weight.grad.abs().sum() > 0) == moved


def test_text_form_equals_explicit_attention_over_positions():
    case, module = Case(), attention("text", moved=True)
    share = (case.weights / case.weights.sum()).flatten()
    expected = case.query[0].flatten(1).clone()
    for level, guides in enumerate(case.guides()):
        theta, phi, g, w = (blocks[level] for blocks in (module.theta, module.phi, module.g, module.w))
        before = expected.clone()
        for x in range(HEIGHT * WIDTH):
            asked = linear(theta, before[:, x])
            gathered = torch.zeros(C)
            for y, guide in guides.items():
                gathered = gathered + (asked @ linear(phi, guide)) * linear(g, guide) * share[y]
            expected[:, x] = before[:, x] + linear(w, gathered)
    enhanced = module.enhance(case.query, case.describe(module))[0, 0]
    torch.testing.assert_close(enhanced, expected, rtol=1e-4, atol=1e-4)


def test_released_form_equals_the_literal_loop():
    case, module = Case(), attention("release", moved=True)
    positions = HEIGHT * WIDTH
    expected = case.query[0].flatten(1).clone()
    for level, guides in enumerate(case.guides()):
        theta, phi, g, w = (blocks[level] for blocks in (module.theta, module.phi, module.g, module.w))
        before = expected.clone()
        for i, guide in guides.items():
            row = torch.zeros(C)
            for j in range(positions):
                row = row + (linear(theta, guide) @ linear(phi, before[:, j])) * linear(g, before[:, j]) / positions
            expected[:, i] = before[:, i] + linear(w, row)
    enhanced = module.enhance(case.query, case.describe(module))[0, 0]
    torch.testing.assert_close(enhanced, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_positions_outside_the_mask_contribute_nothing(form: str):
    case, module = Case(), attention(form, moved=True)
    before = module.enhance(case.query, case.describe(module))
    case.support = torch.where(case.weights[:, 0, None] > 0, case.support, torch.full_like(case.support, 7.0))
    torch.testing.assert_close(module.enhance(case.query, case.describe(module)), before)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_mask_leaves_the_query_as_it_is(form: str):
    case, module = Case(), attention(form, moved=True)
    case.weights = torch.zeros_like(case.weights)
    case.whole = torch.zeros_like(case.whole)
    case.local = Prototypes(torch.zeros_like(case.local.vectors), torch.zeros_like(case.local.weights))
    guidance = case.describe(module)
    assert guidance.present.tolist() == [[0.0]]
    enhanced = module.enhance(case.query, guidance)
    torch.testing.assert_close(enhanced[:, 0], case.query.flatten(2), rtol=0, atol=0)


def test_text_form_takes_a_query_of_another_size():
    case, module = Case(), attention("text", moved=True)
    assert module.enhance(torch.ones(2, C, 4, 4), case.describe(module)).shape == (2, 1, C, 16)


def test_several_slices_average_their_guidance_over_those_with_foreground():
    matrices = torch.arange(3.0).reshape(3, 1, 1, 1, 1).expand(3, 1, LEVELS, C, C)
    guidance = Guidance(matrices, torch.tensor([[1.0], [0.0], [1.0]])).join(3)
    assert (guidance.maps == (0 + 2) / 2).all()  # the second slice has none
    assert guidance.present.tolist() == [[1.0]]
    nobody = Guidance(matrices, torch.zeros(3, 1)).join(3)
    assert (nobody.maps == 0).all()
    assert nobody.present.tolist() == [[0.0]]


def test_released_form_has_one_shot():
    case, module = Case(), attention("release", moved=True)
    guidance = case.describe(module)
    assert guidance.join(1) is guidance
    twice = Guidance(guidance.maps.repeat(2, 1, 1, 1, 1, 1), guidance.present.repeat(2, 1))
    with pytest.raises(ConfigError, match="one support slice"):
        twice.join(2)
