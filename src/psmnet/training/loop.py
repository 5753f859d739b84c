"""The training loop: batches of episodes, atomic checkpoints, and resuming with bit-equal results."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from psmnet.config import TrainConfig
from psmnet.errors import ConfigError
from psmnet.training.checkpoint import CHECKPOINT_NAME, restore_checkpoint, save_checkpoint
from psmnet.training.distributed import ALONE, Ranks, gradients_kept
from psmnet.training.episodes import EpisodeSource
from psmnet.training.log import RunLog, StepCallback
from psmnet.training.losses import MethodWithLosses
from psmnet.training.prefetch import deaths_in_one_line, prefetched


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of a step: x 0.95 every 1,000 steps [published], or a warm-up and half a cosine [ours]."""
    if config.schedule == "step":
        return float(config.learning_rate * 0.95 ** (step // 1000))
    warmed = min(1.0, (step + 1) / max(1, min(config.warmup, config.steps // 10)))
    cosine = torch.cos(torch.tensor(torch.pi * step / config.steps, dtype=torch.float64))
    return float(config.learning_rate * warmed * (0.01 + 0.99 * 0.5 * (1 + cosine)))


def train(
    model: nn.Module,
    source: EpisodeSource,
    config: TrainConfig,
    run: Path,
    *,
    device: torch.device,
    alignment: float,
    accumulate: int = 1,
    workers: int = 0,
    ranks: Ranks = ALONE,
    resume: bool = False,
    report: StepCallback | None = None,
) -> None:
    """Train in place; `run` receives checkpoints, metrics (JSON lines) and TensorBoard events where installed.

    A run that was killed and resumed ends with the same weights as one that was not, bit for bit on a CPU. A batch
    that is divided among processes or into parts has the same losses and gradients within rounding (except for
    BatchNorm on CPUs or in parts), so that a run may be resumed with another number of them.

    Args:
        model: a method with fresh or initial weights.
        source: of episodes; batch `step` is always the same batch.
        config: how it is trained.
        run: an existing folder, which all processes see.
        device: where to train.
        alignment: weight of the prototype alignment loss, a setting of the method.
        accumulate: parts of a batch that a process takes one after another, which needs less memory.
        workers: processes that draw batches, for which a script needs `if __name__ == "__main__"`; 0 for a thread.
            Any number of them draws the same batches, to the bit if the thread uses one core, as they do.
        ranks: the processes that share a batch.
        resume: continue from the run's last checkpoint, if there is one.
        report: called with (steps done, losses) after every step.

    Raises:
        ConfigError: the checkpoint was made with other settings, or a batch has too few pairs to be divided.
        InputError: a process that draws batches was killed.
    """
    shares = ranks.world * accumulate
    if shares > config.pairs:
        raise ConfigError(
            f"a batch of {config.pairs} pairs can't be divided among {ranks.world} processes x {accumulate} parts",
            f"use at most {config.pairs} processes and parts",
        )
    model.to(device).train()
    optimiser = _optimiser(model, config)
    recipe = json.loads(json.dumps(asdict(config) | {"alignment": alignment}))  # as it is read back
    path = run / CHECKPOINT_NAME
    start = restore_checkpoint(path, model, optimiser, recipe) if resume else 0
    losses_of = ranks.wrap(MethodWithLosses(model, config, alignment), device)
    mine = range(ranks.rank * accumulate, (ranks.rank + 1) * accumulate)
    logged = RunLog(run, start, report) if ranks.first else contextlib.nullcontext()
    with deaths_in_one_line(), logged as log:
        for step, parts in prefetched(source, range(start, config.steps), mine, shares, workers):
            rate = learning_rate(step, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            targets = ranks.total(torch.stack([part.valid.sum() for part in parts]).sum().to(device))
            values: dict[str, Tensor] = {}
            for number, part in enumerate(parts, start=1):
                with gradients_kept(losses_of, here=number < accumulate):
                    losses = losses_of(part.to(device), targets)
                    # DistributedDataParallel averages gradients over processes, but the batch's gradient is their sum.
                    (torch.stack(list(losses.values())).sum() * ranks.world).backward()
                values = {name: values.get(name, 0.0) + loss.detach() for name, loss in losses.items()}
            if config.clip_norm > 0:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            sums = ranks.total(torch.stack(list(values.values()))).tolist()
            if log is None:
                continue
            total = dict(zip(values, sums, strict=True))
            log.write(step, rate, total)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                save_checkpoint(path, model, optimiser, step + 1, recipe)
            log.report(step, total)
    model.eval()


def _optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
