"""The training loop: batches of episodes, atomic checkpoints, resume to the last bit."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from psmnet.config import TrainConfig
from psmnet.errors import ConfigError
from psmnet.models import (
    Episode,
    Method,
    load_tensors,
    optimiser_tensors,
    restore_optimiser,
    save_tensors,
    segmentation_loss,
)
from psmnet.training.distributed import ALONE, Ranks, gradients_kept
from psmnet.training.episodes import EpisodeSource
from psmnet.training.prefetch import deaths_in_one_line, prefetched

CHECKPOINT_NAME = "checkpoint.safetensors"
METRICS_NAME = "metrics.jsonl"

Report = Callable[[int, dict[str, float]], None]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Of optimiser step `step`: x 0.95 every 1,000 steps [published], or a warm-up and half a cosine [ours]."""
    if config.schedule == "step":
        return float(config.learning_rate * 0.95 ** (step // 1000))
    warmed = min(1.0, (step + 1) / max(1, min(config.warmup, config.steps // 10)))
    cosine = torch.cos(torch.tensor(torch.pi * step / config.steps, dtype=torch.float64))
    return float(config.learning_rate * warmed * (0.01 + 0.99 * 0.5 * (1 + cosine)))


def episode_losses(
    model: Method, episode: Episode, config: TrainConfig, targets: Tensor | None = None
) -> dict[str, Tensor]:
    """Losses of a batch, each a scalar to be added up; a loss weighted 0 is not computed.

    Support and query are encoded in one call, so that BatchNorm sees them together.

    Args:
        model: a method.
        episode: a batch, or a share of one: then the shares' losses add up to the batch's.
        config: the recipe.
        targets: scalar, valid targets of the whole batch; the episode's own by default.
    """
    targets = episode.valid.sum() if targets is None else targets
    batch, shots = episode.support_images.shape[:2]
    supports = rearrange(episode.support_images, "b s c h w -> (b s) c h w")
    masks = rearrange(episode.support_masks, "b s k h w -> (b s) k h w")
    half = torch.autocast(supports.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    with half:  # the encoder alone: matching compares cosines, which need more digits
        features = model.encode(torch.cat([supports, episode.query_images])).float()
    support_features, query_features = features.divided(batch * shots)
    prediction = model.match(query_features, model.describe(support_features, masks).join(shots))
    losses = {
        "segmentation": segmentation_loss(
            prediction.logits, episode.query_masks, episode.valid, config.class_weights, targets
        ),
        **{name: loss * (batch / config.pairs) for name, loss in prediction.extra_losses.items()},
    }
    if config.alignment > 0:
        # PANet: the prediction, taken as a label, has to segment the support back.
        predicted = (prediction.logits[:, :, 1] > prediction.logits[:, :, 0]).to(masks.dtype)
        valid = episode.valid & (predicted.sum(dim=(-2, -1)) > 0)
        back = model.describe(query_features, predicted)
        back = back.select(torch.arange(batch, device=masks.device).repeat_interleave(shots))
        logits = model.match(support_features, back).logits
        losses["alignment"] = config.alignment * segmentation_loss(
            logits, masks, valid.repeat_interleave(shots, dim=0), config.class_weights, targets * shots
        )
    return losses


class _Losses(nn.Module):
    """A method and its losses as one module with a forward pass, which is what torch makes work on many processes."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, episode: Episode, targets: Tensor) -> dict[str, Tensor]:
        return episode_losses(self.model, episode, self.config, targets)  # type: ignore[arg-type]  # has the verbs


def train(
    model: nn.Module,
    source: EpisodeSource,
    config: TrainConfig,
    run: Path,
    *,
    device: torch.device,
    accumulate: int = 1,
    workers: int = 0,
    ranks: Ranks = ALONE,
    resume: bool = False,
    report: Report | None = None,
) -> None:
    """Train in place; `run` receives checkpoints, metrics (JSON lines) and TensorBoard events where installed.

    A run that was killed and resumed ends with the same weights, bit for bit on a CPU, as one that was not. Divided
    among processes or into parts, a batch has the same losses and gradients within rounding (but for BatchNorm on
    CPUs or in parts), so that a run may go on with another number of them.

    Args:
        model: a method with fresh or initial weights.
        source: of episodes; batch `step` is always the same batch.
        config: the recipe.
        run: an existing folder, which all processes see.
        device: where to train.
        accumulate: parts of a batch that a process takes one after another, for less memory.
        workers: processes that draw batches, for which a script needs `if __name__ == "__main__"`; 0 for a thread. In
            any number they draw the same, to the bit where the thread works with one core, as they do.
        ranks: the processes that share a batch.
        resume: go on from the run's last checkpoint, if there is one.
        report: told (step, losses) after every step.

    Raises:
        ConfigError: the checkpoint was made with another recipe, or a batch has too few pairs to be divided.
        InputError: a process that draws batches was killed.
    """
    shares = ranks.world * accumulate
    if shares > config.pairs:
        raise ConfigError(
            f"a batch of {config.pairs} pairs can't be divided among {ranks.world} processes x {accumulate} parts",
            f"use {config.pairs} processes and parts at most",
        )
    model.to(device).train()
    names = [name for name, _ in model.named_parameters()]
    optimiser = _optimiser(model, config)
    start = _restore(model, optimiser, names, config, run) if resume else 0
    losses_of = ranks.wrap(_Losses(model, config), device)
    mine = range(ranks.rank * accumulate, (ranks.rank + 1) * accumulate)
    logged = _Log(run, start, report) if ranks.first else contextlib.nullcontext()
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
                    # Processes average their gradients, where a batch's is their sum.
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
                tensors = {f"model/{key}": value for key, value in model.state_dict().items()}
                tensors |= optimiser_tensors(optimiser, names)
                save_tensors(run / CHECKPOINT_NAME, tensors, {"step": step + 1, "train": asdict(config)})
            log.tell(step, total)
    model.eval()


def _optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)


def _restore(
    model: nn.Module, optimiser: torch.optim.Optimizer, names: list[str], config: TrainConfig, run: Path
) -> int:
    """Load the last checkpoint, if any; returns the steps done."""
    path = run / CHECKPOINT_NAME
    if not path.exists():
        return 0
    tensors, record = load_tensors(path)
    if record["train"] != json.loads(json.dumps(asdict(config))):
        raise ConfigError(f"{path} was made with other training settings", "resume with the options it began with")
    model.load_state_dict({k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")})
    restore_optimiser(optimiser, names, tensors)
    return int(record["step"])


class _Log:
    """What a run tells: metrics (JSON lines), TensorBoard events, its caller."""

    def __init__(self, run: Path, start: int, report: Report | None) -> None:
        _cut_metrics(run / METRICS_NAME, start)
        self._metrics = (run / METRICS_NAME).open("a", buffering=1, encoding="utf-8")
        self._board = _tensorboard(run)
        self._report = report

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._metrics.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, rate: float, losses: dict[str, float]) -> None:
        """Note the losses of a step, counted from 0; files count from 1."""
        self._metrics.write(json.dumps({"step": step + 1, "learning_rate": rate, **losses}) + "\n")
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step + 1)

    def tell(self, step: int, losses: dict[str, float]) -> None:
        """Tell the caller of a step that is done with, its checkpoint included."""
        if self._report is not None:
            self._report(step + 1, losses)


def _cut_metrics(path: Path, steps: int) -> None:
    """Drop the lines that a killed run wrote after its last checkpoint: those steps are done again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:steps]), encoding="utf-8")


def _tensorboard(run: Path) -> Any:
    """A TensorBoard writer where the extra `train` is installed, else None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"))
