"""Trains a student on slices of labelled and pseudo-labelled scans."""

import contextlib
import copy
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from psmnet.config import AugmentConfig
from psmnet.errors import require
from psmnet.learning.student_batches import StudentBatch
from psmnet.learning.student_loss import student_losses
from psmnet.models import Student
from psmnet.training import ALONE, Ranks, RunLog, StepCallback, restore_checkpoint, save_checkpoint

CHECKPOINT_NAME = "student.safetensors"


@dataclass(frozen=True)
class StudentTraining:
    """How a student is trained.

    Attributes:
        steps: optimiser steps.
        labelled, others: slices in a batch, of labelled scans and of the cohort.
        balanced: share of slices that are drawn by organ, so that small organs are seen as often as large ones.
        learning_rate, weight_decay: of AdamW; the rate falls along half a cosine after `warmup` steps.
        clip_norm: gradients are scaled down to this norm.
        average: decay of the exponential moving average of the weights, which is what is kept.
        checkpoint_every: steps between checkpoints.
        augment_labelled: changes of labelled slices, as large as between two patients.
        augment_others: changes of the cohort's slices.
    """

    steps: int = 600
    labelled: int = 2
    others: int = 4
    balanced: float = 2 / 3
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    warmup: int = 30
    clip_norm: float = 1.0
    average: float = 0.99
    checkpoint_every: int = 50
    augment_labelled: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(
            rotation_deg=10,
            shift_px=15,
            scale=(0.85, 1.2),
            elastic_alpha_px=400,
            elastic_sigma_px=20,
            gamma=(0.6, 1.6),
            bias_field=0.3,
            noise=0.1,
        )
    )
    augment_others: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(
            rotation_deg=10,
            shift_px=15,
            scale=(0.88, 1.15),
            elastic_alpha_px=0,
            gamma=(0.6, 1.6),
            bias_field=0.3,
            noise=0.1,
        )
    )

    def __post_init__(self) -> None:
        require(self.steps > 0, f"steps is {self.steps}", "give 1 or more")


class BatchSource(Protocol):
    """Batches by the number of their step."""

    def batch(self, step: int) -> StudentBatch:
        """The batch of one optimiser step; always the same for the same step."""


def train_student(
    student: Student,
    source: BatchSource,
    training: StudentTraining,
    run: Path,
    *,
    device: torch.device,
    ranks: Ranks = ALONE,
    report: StepCallback | None = None,
) -> None:
    """Train in place, from the run's last checkpoint if it has one; the moving average of the weights is kept.

    A training that was killed and goes on ends with the same weights, bit for bit on a CPU with as many threads.

    Args:
        student: with initial weights.
        source: of batches.
        training: how it is trained.
        run: an existing folder; it receives checkpoints and metrics.
        device: where to train.
        ranks: the processes that share a batch.
        report: called with (steps done, losses) after every step.

    Raises:
        ConfigError: the checkpoint was made with other settings, or a batch has too few slices to be divided.
    """
    size = training.labelled + training.others
    require(ranks.world <= size, f"{ranks.world} processes for batches of {size} slices", f"use at most {size}")
    placed: Any = student
    placed.to(device, memory_format=torch.channels_last).train()
    state = _Averaged(student)
    optimiser = torch.optim.AdamW(student.parameters(), training.learning_rate, weight_decay=training.weight_decay)
    settings = json.loads(json.dumps(asdict(training)))  # as it is read back
    path = run / CHECKPOINT_NAME
    start = restore_checkpoint(path, state, optimiser, settings)
    losses_of = ranks.wrap(_WithLosses(student), device)
    with RunLog(run, start, report) if ranks.first else contextlib.nullcontext() as log:
        for step in range(start, training.steps):
            rate = _rate(step, training)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            batch = source.batch(step).part(ranks.rank, ranks.world)
            losses = losses_of(
                batch.stacks.to(device, memory_format=torch.channels_last),
                batch.labels.to(device),
                batch.open_organs.to(device),
            )
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(student.parameters(), training.clip_norm)
            optimiser.step()
            state.update(min(training.average, (1 + step) / (10 + step)))
            sums = ranks.total(torch.stack([loss.detach() for loss in losses.values()]) / ranks.world).tolist()
            if log is None:
                continue
            total = dict(zip(losses, sums, strict=True))
            log.write(step, rate, total)
            if (step + 1) % training.checkpoint_every == 0 or step + 1 == training.steps:
                save_checkpoint(path, state, optimiser, step + 1, settings)
            log.report(step, total)
    student.load_state_dict(state.average.state_dict())
    student.eval()


class _WithLosses(nn.Module):
    """A student whose forward pass returns its losses, as DistributedDataParallel needs it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, stacks: Tensor, labels: Tensor, open_organs: Tensor) -> dict[str, Tensor]:
        return student_losses(self.student(stacks), labels, open_organs)


class _Averaged(nn.Module):
    """A student and the exponential moving average of its weights."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student
        self.average = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the weights."""
        pairs = zip(self.average.parameters(), self.student.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value, 1 - decay)


def _rate(step: int, training: StudentTraining) -> float:
    """A linear warm-up, then half a cosine."""
    warmed = min(1.0, (step + 1) / max(1, min(training.warmup, training.steps // 10)))
    return training.learning_rate * warmed * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / training.steps)))
