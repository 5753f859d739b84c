import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.tiny_training import CONFIG, CPU, STEPS, episodes, network
from psmnet.config import AugmentConfig, TrainConfig
from psmnet.errors import ConfigError
from psmnet.models.tensors import Episode
from psmnet.models.weights import load_tensors
from psmnet.training.checkpoint import CHECKPOINT_NAME
from psmnet.training.log import METRICS_NAME
from psmnet.training.loop import learning_rate, train
from psmnet.training.losses import episode_losses


def trained(
    run: Path, config: TrainConfig = CONFIG, *, seed: int = 0, batchnorm: bool = False, alignment: float = 0.0
) -> dict[str, Tensor]:
    run.mkdir(exist_ok=True)
    model = network(batchnorm=batchnorm)
    train(model, episodes(config, seed), config, run, device=CPU, alignment=alignment)
    return model.state_dict()


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / METRICS_NAME).read_text(encoding="utf-8").splitlines()]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


class KilledError(Exception):
    pass


def killed_at(run: Path, at: int, config: TrainConfig = CONFIG, *, resume: bool = False, **options: bool) -> None:
    """Train until step `at` is reported."""

    def report(step: int, losses: dict[str, float]) -> None:
        if step == at:
            raise KilledError

    run.mkdir(exist_ok=True)
    with pytest.raises(KilledError):
        train(
            network(**options), episodes(config), config, run, device=CPU, alignment=0.0, resume=resume, report=report
        )


# ---- schedules -------------------------------------------------------------------------------------------------


def test_the_step_schedule_loses_a_twentieth_every_thousand_steps():
    config = TrainConfig(steps=50_100, schedule="step", learning_rate=1e-3)
    for step, times in ((0, 0), (999, 0), (1000, 1), (1999, 1), (2000, 2), (50_099, 50)):
        assert learning_rate(step, config) == pytest.approx(1e-3 * 0.95**times)


def test_the_cosine_schedule_warms_up_and_ends_near_one_per_cent():
    config = TrainConfig(steps=4000, schedule="cosine", learning_rate=2e-3, warmup=100)
    rates = [learning_rate(step, config) for step in range(4000)]
    assert rates[0] == pytest.approx(2e-3 / 100, rel=1e-3)
    assert rates[49] == pytest.approx(1e-3, rel=1e-3)
    assert rates[2000] == pytest.approx(2e-3 * (0.01 + 0.99 / 2))
    assert rates[-1] == pytest.approx(2e-3 * 0.01, rel=0.01)
    assert all(a < b for a, b in itertools.pairwise(rates[:100]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))


def test_a_short_training_has_a_short_warm_up():
    config = TrainConfig(steps=20, schedule="cosine", learning_rate=1.0, warmup=100)
    assert learning_rate(0, config) == pytest.approx(1 / 2)  # a tenth of the steps
    assert learning_rate(1, config) == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 20)))


# ---- losses ----------------------------------------------------------------------------------------------------


def test_a_loss_weighted_zero_is_not_computed():
    model = network()
    losses = episode_losses(model, episodes().batch(0), CONFIG, alignment=0.0)
    assert list(losses) == ["segmentation"]
    assert model.described == 1
    losses = episode_losses(model, episodes().batch(0), CONFIG, alignment=1.0)
    assert list(losses) == ["segmentation", "alignment"]
    assert model.described == 1 + 2


def test_the_alignment_loss_is_proportional_to_its_weight():
    one, three = (
        episode_losses(network(), episodes().batch(0), CONFIG, alignment=weight)["alignment"] for weight in (1.0, 3.0)
    )
    assert one > 0
    torch.testing.assert_close(three, 3 * one)


def test_alignment_is_the_loss_of_the_support_under_the_predicted_query():
    config = dataclasses.replace(CONFIG, pairs=1, targets=1)
    episode, model = episodes(config).batch(0), network()
    with torch.no_grad():
        query, support = model.encode(episode.query_images), model.encode(episode.support_images[:, 0])
        logits = model.match(query, model.describe(support, episode.support_masks[:, 0])).logits
        predicted = (logits[:, :, 1] > logits[:, :, 0]).float()
        assert predicted.any()
        back = model.match(support, model.describe(query, predicted)).logits
        expected = torch.nn.functional.cross_entropy(
            back[:, 0], episode.support_masks[:, 0, 0].long(), weight=torch.tensor([0.05, 1.0])
        )
        found = episode_losses(model, episode, config, alignment=1.0)["alignment"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_several_shots_share_one_loss():
    episode = episodes().batch(0)
    doubled = Episode(
        episode.support_images.repeat(1, 2, 1, 1, 1),
        episode.support_masks.repeat(1, 2, 1, 1, 1),
        episode.query_images,
        episode.query_masks,
        episode.valid,
    )
    # The same slice twice: each prototype's area counts twice, in both classes alike.
    once, twice = (episode_losses(network(), e, CONFIG, alignment=1.0) for e in (episode, doubled))
    for name in once:
        torch.testing.assert_close(once[name], twice[name], rtol=1e-3, atol=1e-4)


def test_an_episode_without_valid_targets_has_a_finite_gradient():
    episode = episodes().batch(0)
    values = {field.name: getattr(episode, field.name) for field in fields(episode)}
    nothing = Episode(**values | {"valid": torch.zeros_like(episode.valid)})
    model = network()
    losses = episode_losses(model, nothing, CONFIG, alignment=1.0)
    assert [loss.item() for loss in losses.values()] == [0, 0]
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# ---- training --------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path):
    first, second = trained(tmp_path / "a"), trained(tmp_path / "b")
    assert same(first, second)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert not same(first, trained(tmp_path / "c", seed=1))


def test_training_does_not_depend_on_torchs_generator(tmp_path: Path):
    expected = trained(tmp_path / "a")
    model = network()
    torch.manual_seed(99)
    (tmp_path / "b").mkdir()
    train(model, episodes(), CONFIG, tmp_path / "b", device=CPU, alignment=0.0)
    assert same(model.state_dict(), expected)


@pytest.mark.slow  # that they are the same batches is tested in test_prefetch
def test_batches_drawn_by_other_processes_train_to_the_same_bits(tmp_path: Path):
    expected = trained(tmp_path / "a")
    killed_at(tmp_path / "b", 6)  # whose last checkpoint is of step 4
    model = network()
    train(model, episodes(), CONFIG, tmp_path / "b", device=CPU, alignment=0.0, workers=2, resume=True)
    assert same(model.state_dict(), expected)
    assert metrics(tmp_path / "b") == metrics(tmp_path / "a")


def test_twenty_steps_lower_the_loss_on_a_phantom(tmp_path: Path):
    config = dataclasses.replace(CONFIG, steps=20, pairs=4, learning_rate=1e-2)
    trained(tmp_path, config)
    losses = [line["segmentation"] for line in metrics(tmp_path)]
    assert len(losses) == 20
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_alignment_changes_the_weights_and_stays_finite(tmp_path: Path, optimiser: str):
    config = dataclasses.replace(CONFIG, optimiser=optimiser)
    without = trained(tmp_path / "without", config)
    aligned = trained(tmp_path / "with", config, alignment=1.0)
    assert not same(without, aligned)
    assert all(value.isfinite().all() for value in aligned.values())
    assert all(line["alignment"] > 0 for line in metrics(tmp_path / "with"))


def test_every_parameter_moves(tmp_path: Path):
    before, after = network().state_dict(), trained(tmp_path)
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_a_model_comes_out_in_evaluation_mode_and_losses_are_reported(tmp_path: Path):
    model, told = network(), []
    train(
        model,
        episodes(),
        CONFIG,
        tmp_path,
        device=CPU,
        alignment=0.0,
        report=lambda step, losses: told.append((step, losses)),
    )
    assert not model.training
    assert [step for step, _ in told] == list(range(1, STEPS + 1))
    for (step, losses), line in zip(told, metrics(tmp_path), strict=True):
        assert line == {"step": step, "learning_rate": learning_rate(step - 1, CONFIG), **losses}


def test_clipping_bounds_a_step(tmp_path: Path):
    # SGD without momentum and decay: the first step has the length rate x clipped norm.
    config = dataclasses.replace(
        CONFIG, steps=1, optimiser="sgd", schedule="step", momentum=0.0, weight_decay=0.0, learning_rate=0.5
    )
    for clip, check in ((1e-3, lambda norm: norm == pytest.approx(0.5e-3, rel=1e-2)), (0.0, lambda norm: norm > 1e-3)):
        after = trained(tmp_path / str(clip), dataclasses.replace(config, clip_norm=clip))
        before = network().state_dict()
        assert check(math.sqrt(sum(float((after[n] - before[n]).square().sum()) for n in before)))


# ---- killed and resumed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimiser", "at"), [("adamw", 3), ("adamw", 4), ("adamw", 7), ("adamw", STEPS), ("sgd", 7)])
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path: Path, optimiser: str, at: int):
    config = dataclasses.replace(CONFIG, optimiser=optimiser)
    expected = trained(tmp_path / "whole", config)
    run = tmp_path / "cut"
    killed_at(run, at, config)
    torch.manual_seed(123)  # a new process starts from elsewhere
    model = network()
    told: list[int] = []
    train(
        model,
        episodes(config),
        config,
        run,
        device=CPU,
        alignment=0.0,
        resume=True,
        report=lambda step, _: told.append(step),
    )
    assert same(model.state_dict(), expected)
    assert metrics(run) == metrics(tmp_path / "whole")
    done = at if at == STEPS else at // 4 * 4  # a checkpoint every 4 steps and at the end
    assert told == list(range(done + 1, STEPS + 1))


def test_batchnorms_statistics_are_resumed(tmp_path: Path):
    expected = trained(tmp_path / "whole", batchnorm=True)
    killed_at(tmp_path / "cut", 6, batchnorm=True)
    model = network(batchnorm=True)
    train(model, episodes(), CONFIG, tmp_path / "cut", device=CPU, alignment=0.0, resume=True)
    assert same(model.state_dict(), expected)


def test_a_run_may_be_killed_twice(tmp_path: Path):
    expected = trained(tmp_path / "whole")
    run = tmp_path / "cut"
    killed_at(run, 5)
    killed_at(run, 7, resume=True)
    model = network()
    train(model, episodes(), CONFIG, run, device=CPU, alignment=0.0, resume=True)
    assert same(model.state_dict(), expected)
    assert [line["step"] for line in metrics(run)] == list(range(1, STEPS + 1))


def test_half_a_line_of_metrics_does_not_survive(tmp_path: Path):
    killed_at(tmp_path, 6)
    with (tmp_path / METRICS_NAME).open("a", encoding="utf-8") as stream:
        stream.write('{"step": 7, "segm')
    train(network(), episodes(), CONFIG, tmp_path, device=CPU, alignment=0.0, resume=True)
    assert [line["step"] for line in metrics(tmp_path)] == list(range(1, STEPS + 1))


def test_resuming_nothing_begins_anew_and_a_finished_run_stays(tmp_path: Path):
    expected = trained(tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    for _ in range(2):
        model = network()
        train(model, episodes(), CONFIG, run, device=CPU, alignment=0.0, resume=True)
        assert same(model.state_dict(), expected)
        assert len(metrics(run)) == STEPS


def test_a_new_run_in_the_same_folder_begins_at_the_first_step(tmp_path: Path):
    expected = trained(tmp_path)
    assert same(trained(tmp_path), expected)
    assert [line["step"] for line in metrics(tmp_path)] == list(range(1, STEPS + 1))


@pytest.mark.parametrize(
    "change",
    [{"steps": 12}, {"learning_rate": 5e-4}, {"pairs": 3}, {"augment": AugmentConfig(noise=0.5)}],
)
def test_resuming_with_another_recipe_is_refused(tmp_path: Path, change: dict[str, object]):
    killed_at(tmp_path, 5)
    other = dataclasses.replace(CONFIG, **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="other training settings"):
        train(network(), episodes(other), other, tmp_path, device=CPU, alignment=0.0, resume=True)
    assert load_tensors(tmp_path / CHECKPOINT_NAME)[1]["step"] == 4


def test_resuming_with_another_alignment_loss_is_refused(tmp_path: Path):
    killed_at(tmp_path, 5)
    with pytest.raises(ConfigError, match="other training settings"):
        train(network(), episodes(), CONFIG, tmp_path, device=CPU, alignment=1.0, resume=True)


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from psmnet.config import ModelConfig, TrainConfig
from psmnet.training.synthetic import SyntheticEpisodes
from psmnet.models.build import build_model
from psmnet.training.loop import train
torch.set_num_threads(1)
torch.manual_seed(0)
model = build_model(ModelConfig(channels=16, input_size=32))
config = TrainConfig(steps=12, pairs=2, targets=2, checkpoint_every=5)
def report(step, losses):
    print(step, flush=True)
    if len(sys.argv) > 2 and step == int(sys.argv[2]):
        time.sleep(60)
train(model, SyntheticEpisodes(32, 2, 2, 0), config, Path(sys.argv[1]), device=torch.device("cpu"), alignment=0.0,
      resume=True, report=report)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_process_that_is_killed_and_run_again_ends_with_the_same_bits(tmp_path: Path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", SCRIPT]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True, env=environment, timeout=120)
    with subprocess.Popen(
        [*command, str(tmp_path / "cut"), "7"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "7":
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    again = subprocess.run(
        [*command, str(tmp_path / "cut")], check=True, capture_output=True, text=True, env=environment, timeout=120
    )
    assert again.stdout.split() == [str(step) for step in range(6, 13)]
    assert (tmp_path / "cut" / CHECKPOINT_NAME).read_bytes() == (tmp_path / "whole" / CHECKPOINT_NAME).read_bytes()
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
