"""Each baseline against a small computation of its own paper's equations: loops over pixels, one mask at a time."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from psmnet.config import ModelConfig
from psmnet.errors import ConfigError
from psmnet.models.adnet import ADNet
from psmnet.models.alpnet import ALPNet, ALPNetSettings
from psmnet.models.build import build_model
from psmnet.models.panet import PANet, PANetSettings
from psmnet.models.qnet import QNet, QNetSettings
from psmnet.models.registry import METHODS
from psmnet.models.tensors import Features, concatenate

C, SIDE, STRIDE = 6, 8, 4
TRAINED = sorted(name for name, method in METHODS.items() if method.trained)
SIZE = SIDE * STRIDE


class Encoder(nn.Module):
    """Features are looked up by the image's first pixel, so that tests choose them."""

    stride = STRIDE
    code_size = 5

    def __init__(self, *tables: Tensor, code: Tensor | None = None) -> None:
        super().__init__()
        self.tables, self.code = tables, code

    def forward(self, images: Tensor) -> Tensor:
        return self.tables[0][images[:, 0, 0, 0].long()]

    def levels(self, images: Tensor) -> tuple[Tensor, ...]:
        rows = images[:, 0, 0, 0].long()
        return (*(table[rows] for table in self.tables), self.code[rows])


def numbered(count: int) -> Tensor:
    """Images whose first pixel is their number."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, SIZE, SIZE)


def some_features(count: int, channels: int = C, side: int = SIDE) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def some_masks() -> Tensor:
    """(2, 2, SIZE, SIZE): a block and a disc, each slice its own."""
    masks = torch.zeros(2, 2, SIZE, SIZE)
    masks[0, 0, 4:20, 8:28] = 1
    masks[1, 0, 2:15, 3:21] = 1
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    masks[0, 1] = ((y - 18) ** 2 + (x - 12) ** 2 < 60).float()
    masks[1, 1] = ((y - 10) ** 2 + (x - 20) ** 2 < 30).float()
    return masks


def cosine20(a: Tensor, b: Tensor) -> float:
    return 20 * float(a @ b) / (float(a.norm()) * float(b.norm()))


def enlarged(features: Tensor) -> Tensor:
    """(C, SIDE, SIDE) to the image's pixels."""
    return functional.interpolate(features[None], size=(SIZE, SIZE), mode="bilinear", align_corners=False)[0]


def masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    """Sum over pixels of enlarged features under a mask, one pixel after another: (C,)."""
    large, total, weight = enlarged(features), torch.zeros(len(features)), 0.0
    for y in range(SIZE):
        for x in range(SIZE):
            total += large[:, y, x] * mask[y, x]
            weight += float(mask[y, x])
    return total / weight


def to_image(grid: Tensor, stride: int = STRIDE) -> Tensor:
    size = grid.shape[-1] * stride
    return functional.interpolate(grid[None, None], size=(size, size), mode="bilinear", align_corners=False)[0, 0]


def score_map(features: Tensor, prototypes: list[Tensor]) -> Tensor:
    """ALPNet's equations 4 and 5, pixel by pixel: a softmax-weighted mean of 20 cos; the lowest without prototypes."""
    scores = torch.full(features.shape[1:], -20.0)
    if not prototypes:
        return scores
    for y in range(scores.shape[0]):
        for x in range(scores.shape[1]):
            values = [cosine20(features[:, y, x], prototype) for prototype in prototypes]
            powers = [math.exp(value - 20) for value in values]
            scores[y, x] = sum(p * v for p, v in zip(powers, values, strict=True)) / sum(powers)
    return scores


def test_panet_is_one_average_a_class():
    table, masks = some_features(4), some_masks()
    model = PANet(Encoder(table), PANetSettings()).eval()
    features = model.encode(numbered(4))
    logits = model.match(features[2:], model.describe(features[:2], masks)).logits
    assert logits.shape == (2, 2, 2, SIZE, SIZE)
    for n in range(2):
        for k in range(2):
            for c, mask in enumerate((1 - masks[n, k], masks[n, k])):
                expected = score_map(table[2 + n], [masked_mean(table[n], mask)])
                torch.testing.assert_close(logits[n, k, c], to_image(expected), atol=1e-3, rtol=1e-4)


def windows_inside(features: Tensor, mask: Tensor, side: int) -> list[Tensor]:
    """Means of features (C, h, w) over windows whose mean mask (h, w) is above 0.95."""
    found = []
    for top in range(0, SIDE, side):
        for left in range(0, SIDE, side):
            box = (slice(top, top + side), slice(left, left + side))
            if float(mask[box].mean()) > 0.95:
                found.append(features[(slice(None), *box)].mean(dim=(1, 2)))
    return found


@pytest.mark.parametrize(("training", "side"), [(True, 4), (False, 2)])
def test_alpnet_compares_windows_of_a_grid(training, side):
    table = some_features(2)
    mask = torch.zeros(1, 2, SIZE, SIZE)
    mask[0, 0, :20, :24] = 1  # 5 x 6 positions, of which one window of 4 x 4
    mask[0, 1, 12:28, 12:28] = 1  # 4 x 4 positions: a window of 2 x 2 but none of 4 x 4, so the average alone
    model = ALPNet(Encoder(table), ALPNetSettings()).train(training)
    features = model.encode(numbered(2))
    logits = model.match(features[1:], model.describe(features[:1], mask)).logits
    for k in range(2):
        small = functional.interpolate(mask[:, [k]], (SIDE, SIDE), mode="bilinear", antialias=True)[0, 0]
        whole = (table[0] * small).sum((1, 2)) / small.sum()
        local = windows_inside(table[0], small, side) if k == 0 else []
        assert bool(local) == (k == 0)
        assert side == 4 or windows_inside(table[0], small, side)
        background = windows_inside(table[0], 1 - small, side)
        torch.testing.assert_close(
            logits[0, k, 1], to_image(score_map(table[1], [whole, *local])), atol=1e-3, rtol=1e-4
        )
        torch.testing.assert_close(logits[0, k, 0], to_image(score_map(table[1], background)), atol=1e-3, rtol=1e-4)


def anomaly_margin(features: Tensor, prototype: Tensor, threshold: float) -> Tensor:
    """ADNet's equations 2 and 3 as a logit, pixel by pixel: p = 1 - sigmoid(0.5 (-20 cos - T))."""
    margin = torch.zeros(features.shape[1:])
    for y in range(margin.shape[0]):
        for x in range(margin.shape[1]):
            probability = 1 - 1 / (1 + math.exp(-0.5 * (-cosine20(features[:, y, x], prototype) - threshold)))
            margin[y, x] = math.log(probability / (1 - probability))
    return margin


def test_adnet_holds_an_anomaly_score_against_a_threshold():
    table, masks = some_features(4), some_masks()
    model = ADNet(Encoder(table)).eval()
    assert 20 * model.threshold.item() == -10  # as published
    with torch.no_grad():
        model.threshold.fill_(-0.2)  # T = -4
    features = model.encode(numbered(4))
    prediction = model.match(features[2:], model.describe(features[:2], masks))
    assert torch.equal(prediction.logits[:, :, 0], torch.zeros(2, 2, SIZE, SIZE))
    assert prediction.extra_losses["threshold"].item() == pytest.approx(-4 / 20)  # the loss T / 20
    for n in range(2):
        for k in range(2):
            expected = anomaly_margin(table[2 + n], masked_mean(table[n], masks[n, k]), -4.0)
            torch.testing.assert_close(prediction.logits[n, k, 1], to_image(expected), atol=1e-3, rtol=1e-4)


def test_adnets_shots_are_averaged():
    table, masks = some_features(3), some_masks()
    model = ADNet(Encoder(table)).eval()
    features = model.encode(numbered(3))
    joined = model.match(features[2:], model.describe(features[:2], masks).join(2)).logits
    mean = (masked_mean(table[0], masks[0, 0]) + masked_mean(table[1], masks[1, 0])) / 2
    torch.testing.assert_close(joined[0, 0, 1], to_image(anomaly_margin(table[2], mean, -10.0)), atol=1e-3, rtol=1e-4)


def qnet(refinement: int, count: int) -> tuple[QNet, list[Tensor], Tensor]:
    tables = [some_features(count), some_features(count, channels=9, side=SIDE // 2)]
    code = torch.randn(count, 5, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    return QNet(Encoder(*tables, code=code), QNetSettings(refinement=refinement)).eval(), tables, code


def test_qnet_mixes_two_scales_under_the_querys_own_threshold():
    model, tables, code = qnet(0, 3)
    masks = some_masks()
    features = model.encode(numbered(3))
    logits = model.match(features[2:], model.describe(features[:1], masks[:1])).logits
    threshold = 20 * (model.threshold.weight[0] @ code[2] + model.threshold.bias).item()
    for k in range(2):
        mixed = torch.zeros(SIZE, SIZE)
        for share, stride, table in zip((0.9, 0.1), (4, 8), tables, strict=True):
            margin = anomaly_margin(table[2], masked_mean(table[0], masks[0, k]), threshold)
            mixed += share * to_image(margin, stride).sigmoid()
        torch.testing.assert_close(logits[0, k, 1].sigmoid(), mixed, atol=1e-4, rtol=0)


def squashed(features: Tensor) -> Tensor:
    return torch.sigmoid((features - features.min()) / (features.max() - features.min()))


def test_qnet_refines_the_prototype_on_each_query_slice():
    model, tables, code = qnet(7, 3)
    masks = some_masks()
    with torch.no_grad():
        model.threshold.weight.zero_()
        model.threshold.bias.zero_()  # T = 0: about half of the positions are foreground
    features = model.encode(numbered(3))
    support = model.describe(features[:1], masks[:1])
    with torch.no_grad():  # as evaluation calls it
        logits = model.match(features[2:], support).logits
        threshold = 20 * float(model.threshold(code[2]))
    mixed = torch.zeros(SIZE, SIZE)
    for share, stride, table in zip((0.9, 0.1), (4, 8), tables, strict=True):
        query = table[2]
        prototype = masked_mean(table[0], masks[0, 0]).requires_grad_()
        adam = torch.optim.Adam([prototype], lr=0.01)
        for _ in range(7):
            found = anomaly_margin(query, prototype.detach(), threshold) > 0
            assert found.any()
            assert not found.all()
            rebuilt = torch.where(found, prototype[:, None, None], query)
            loss = functional.binary_cross_entropy(squashed(query), squashed(rebuilt))
            adam.zero_grad()
            loss.backward()
            adam.step()
        margin = anomaly_margin(query, prototype.detach(), threshold)
        mixed += share * to_image(margin, stride).sigmoid()
    torch.testing.assert_close(logits[0, 0, 1].sigmoid(), mixed, atol=1e-3, rtol=0)
    plain = QNet(model.encoder, QNetSettings(refinement=0)).eval()
    plain.load_state_dict(model.state_dict())
    assert not torch.equal(plain.match(features[2:], support).logits, logits)


@pytest.mark.parametrize("method", TRAINED)
def test_a_slice_does_not_depend_on_what_else_is_in_the_batch(method):
    torch.manual_seed(0)
    model = build_model(ModelConfig(method=method, channels=16, input_size=64)).eval()
    images = torch.randn(3, 1, 64, 64)
    masks = torch.zeros(1, 2, 64, 64)
    masks[0, 0, 8:40, 8:40] = masks[0, 1, 40:60, 20:60] = 1
    with torch.no_grad():
        support = model.describe(model.encode(images[:1]), masks)
        together = model.match(model.encode(images), support).logits
        alone = torch.cat([model.match(model.encode(images[i : i + 1]), support).logits for i in range(3)])
        one = model.match(model.encode(images), model.describe(model.encode(images[:1]), masks[:, :1])).logits
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(together[:, :1], one, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", TRAINED)
def test_an_empty_mask_gives_numbers(method):
    torch.manual_seed(0)
    model = build_model(ModelConfig(method=method, channels=16, input_size=64)).eval()
    images, masks = torch.randn(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    masks[1] = 1  # and a full one, without background
    with torch.no_grad():
        features = model.encode(images)
        logits = model.match(features, model.describe(features, masks)).logits
    assert logits.shape == (2, 1, 2, 64, 64)
    assert logits.isfinite().all()


@pytest.mark.parametrize("method", TRAINED)
def test_every_parameter_of_a_method_learns(method):
    torch.manual_seed(0)
    model = build_model(ModelConfig(method=method, channels=16, input_size=64)).train()
    masks = torch.zeros(1, 1, 64, 64)
    masks[0, 0, 8:40, 8:40] = 1
    features: Features = model.encode(torch.randn(2, 1, 64, 64))
    prediction = model.match(features[1:], model.describe(features[:1], masks))
    (prediction.foreground.mean() + sum(prediction.extra_losses.values())).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == set()
    # MCAM's blocks start as identity: all but W learn from the second step on.
    still = {name.split(".")[1] for name, p in model.named_parameters() if not p.grad.any() and "bias" not in name}
    assert still <= {"theta", "phi", "g"}


@pytest.mark.parametrize("method", TRAINED)
def test_scans_join_in_any_order(method):
    torch.manual_seed(0)
    model = build_model(ModelConfig(method=method, channels=16, input_size=64)).eval()
    images, masks = torch.randn(3, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    masks[0, 0, 8:40, 8:40] = masks[1, 0, 20:60, 4:44] = 1
    with torch.no_grad():
        features = model.encode(images)
        first, second = (model.describe(features[i : i + 1], masks[i : i + 1]) for i in range(2))
        one = model.match(features[2:], concatenate([first, second])).logits
        other = model.match(features[2:], concatenate([second, first])).logits
        joined = model.match(features[2:], model.describe(features[:2], masks).join(2)).logits
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one, joined, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("panet", {"grid": -1}, "grid is -1; give 0 or more"),
        ("alpnet", {"grid": 0}, "grid is 0; give 1 or more"),
        ("alpnet", {"grid_at_inference": 0}, "grid_at_inference is 0; give 1 or more"),
        ("qnet", {"refinement": -1}, "refinement is -1; give 0 or more"),
        ("adnet", {"alignment": -1.0}, "alignment is -1.0; give 0 or more"),
        ("adnet", {"grid": 2}, "unknown settings grid of adnet; give any of alignment"),
    ],
)
def test_settings_that_can_not_be(method, settings, message):
    with pytest.raises(ConfigError, match=message):
        build_model(ModelConfig(method=method, channels=16, settings=settings))
