"""Checkpoints of a training: network, optimiser state and number of steps done, in one safetensors file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psmnet.errors import ConfigError
from psmnet.models import load_tensors, save_tensors

CHECKPOINT_NAME = "checkpoint.safetensors"
_MODEL, _OPTIMISER = "model/", "optimiser/"


def save_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, step: int, recipe: dict[str, Any]
) -> None:
    """Write a checkpoint.

    Args:
        path: of the file; it is replaced atomically.
        model, optimiser: their state.
        step: number of steps done.
        recipe: training settings as plain values; a resumed training must have the same.
    """
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    tensors |= optimiser_tensors(optimiser, _names(model))
    save_tensors(path, tensors, {"step": step, "train": recipe})


def restore_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, recipe: dict[str, Any]) -> int:
    """Read a checkpoint into a network and its optimiser.

    Returns:
        number of steps done; 0 where there is no file.

    Raises:
        ConfigError: it was made with other training settings.
        InputError: the file is damaged.
    """
    if not path.exists():
        return 0
    tensors, record = load_tensors(path)
    if record["train"] != recipe:
        raise ConfigError(f"{path} was made with other training settings", "resume with the same options")
    model.load_state_dict({k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)})
    restore_optimiser(optimiser, _names(model), tensors)
    return int(record["step"])


def optimiser_tensors(optimiser: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """An optimiser's state as tensors called `optimiser/<parameter>/<entry>`; `names` are those of the parameters."""
    state = optimiser.state_dict()["state"]
    return {
        f"{_OPTIMISER}{names[index]}/{entry}": value
        for index, entries in state.items()
        for entry, value in entries.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, names: list[str], tensors: Mapping[str, Tensor]) -> None:
    """Load a state that `optimiser_tensors` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(_OPTIMISER):
            _, name, entry = key.split("/")
            state.setdefault(names.index(name), {})[entry] = value
    content = optimiser.state_dict()
    content["state"] = state
    optimiser.load_state_dict(content)


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters()]
