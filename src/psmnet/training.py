"""The training loop: batches of episodes, atomic checkpoints, resume to the last bit."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from psmnet.checkpoint import load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from psmnet.config import TrainConfig
from psmnet.data.episodes import EpisodeSource
from psmnet.errors import ConfigError
from psmnet.models.build import Method
from psmnet.models.losses import segmentation_loss
from psmnet.types import Episode

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


def episode_losses(model: Method, episode: Episode, config: TrainConfig) -> dict[str, Tensor]:
    """Losses of a batch, each a scalar to be added up; a loss weighted 0 is not computed.

    Support and query are encoded in one call, so that BatchNorm sees them together.
    """
    batch, shots = episode.support_images.shape[:2]
    supports = rearrange(episode.support_images, "b s c h w -> (b s) c h w")
    masks = rearrange(episode.support_masks, "b s k h w -> (b s) k h w")
    half = torch.autocast(supports.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    with half:  # the encoder alone: matching compares cosines, which need more digits
        features = model.encode(torch.cat([supports, episode.query_images])).float()
    support_features, query_features = features[: batch * shots], features[batch * shots :]
    prediction = model.match(query_features, model.describe(support_features, masks).join(shots))
    losses = {
        "segmentation": segmentation_loss(prediction.logits, episode.query_masks, episode.valid, config.class_weights),
        **prediction.extra_losses,
    }
    if config.alignment > 0:
        # PANet: the prediction, taken as a label, has to segment the support back.
        predicted = (prediction.logits[:, :, 1] > prediction.logits[:, :, 0]).to(masks.dtype)
        valid = episode.valid & (predicted.sum(dim=(-2, -1)) > 0)
        back = model.describe(query_features, predicted)
        back = back.select(torch.arange(batch, device=masks.device).repeat_interleave(shots))
        logits = model.match(support_features, back).logits
        losses["alignment"] = config.alignment * segmentation_loss(
            logits, masks, valid.repeat_interleave(shots, dim=0), config.class_weights
        )
    return losses


def train(
    model: nn.Module,
    source: EpisodeSource,
    config: TrainConfig,
    run: Path,
    *,
    device: torch.device,
    resume: bool = False,
    report: Report | None = None,
) -> None:
    """Train in place; `run` receives checkpoints, metrics (JSON lines) and TensorBoard events where installed.

    A run that was killed and resumed ends with the same weights, bit for bit on a CPU, as one that was not.

    Args:
        model: a method with fresh or initial weights.
        source: of episodes; batch `step` is always the same batch.
        config: the recipe.
        run: an existing folder.
        device: where to train.
        resume: go on from the run's last checkpoint, if there is one.
        report: told (step, losses) after every step.

    Raises:
        ConfigError: the checkpoint was made with another recipe.
    """
    model.to(device).train()
    names = [name for name, _ in model.named_parameters()]
    optimiser = _optimiser(model, config)
    start = _restore(model, optimiser, names, config, run) if resume else 0
    _cut_metrics(run / METRICS_NAME, start)
    board = _tensorboard(run)
    with (run / METRICS_NAME).open("a", buffering=1, encoding="utf-8") as metrics:
        for step, episode in _prefetched(source, range(start, config.steps)):
            rate = learning_rate(step, config)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            losses = episode_losses(model, episode.to(device), config)  # type: ignore[arg-type]  # a Module with the verbs
            torch.stack(list(losses.values())).sum().backward()
            if config.clip_norm > 0:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            values = {name: loss.item() for name, loss in losses.items()}
            metrics.write(json.dumps({"step": step + 1, "learning_rate": rate, **values}) + "\n")
            if board is not None:
                for name, value in values.items():
                    board.add_scalar(f"loss/{name}", value, step + 1)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                tensors = {f"model/{key}": value for key, value in model.state_dict().items()}
                tensors |= optimiser_tensors(optimiser, names)
                save_tensors(run / CHECKPOINT_NAME, tensors, {"step": step + 1, "train": asdict(config)})
            if report is not None:
                report(step + 1, values)
    if board is not None:
        board.close()
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


def _cut_metrics(path: Path, steps: int) -> None:
    """Drop the lines that a killed run wrote after its last checkpoint: those steps are done again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:steps]), encoding="utf-8")


def _prefetched(source: EpisodeSource, steps: range) -> Iterator[tuple[int, Episode]]:
    """Draw the next batch while this one trains."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(source.batch, steps.start) if len(steps) else None
        for step in steps:
            assert coming is not None
            episode = coming.result()
            coming = pool.submit(source.batch, step + 1) if step + 1 < steps.stop else None
            yield step, episode


def _tensorboard(run: Path) -> Any:
    """A TensorBoard writer where the extra `train` is installed, else None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(run / "tensorboard"))
