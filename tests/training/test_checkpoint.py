import pytest
import torch
from torch import nn

from psmnet.training.checkpoint import optimiser_tensors, restore_optimiser


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_an_optimisers_state_round_trips(kind: str):
    def make(values: torch.Tensor) -> tuple[nn.Linear, torch.optim.Optimizer]:
        model = nn.Linear(3, 2)
        with torch.no_grad():
            model.weight.copy_(values)
            model.bias.zero_()
        if kind == "sgd":
            return model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        return model, torch.optim.AdamW(model.parameters(), 0.1)

    def step(model: nn.Linear, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        model(torch.tensor([[1.0, 2.0, 3.0]])).square().sum().backward()
        optimiser.step()

    names = ["weight", "bias"]
    model, optimiser = make(torch.ones(2, 3))
    step(model, optimiser)
    saved = {name: value.clone() for name, value in optimiser_tensors(optimiser, names).items()}
    other, restored = make(model.weight.detach())
    with torch.no_grad():
        other.bias.copy_(model.bias)
    restore_optimiser(restored, names, saved)
    step(model, optimiser)
    step(other, restored)
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(model.bias, other.bias)
