"""Several processes on a CPU, as torchrun starts them, against one."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from helpers import distributed_worker
from helpers.distributed_worker import FIVE_PAIRS, UNTIL
from helpers.tiny_training import CPU, episodes, network
from psmnet.errors import ConfigError, InputError
from psmnet.training.distributed import ALONE, Ranks, joined
from psmnet.training.log import METRICS_NAME
from psmnet.training.loop import train

WORKER = Path(distributed_worker.__file__)
PSMNET = Path(sys.executable).with_name("psmnet")


def torchrun(processes: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    paths = [str(WORKER.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]  # the worker imports helpers
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment
    )


def curve(run: Path) -> list[list[float]]:
    lines = (run / METRICS_NAME).read_text(encoding="utf-8").splitlines()
    return [[record["step"], record["segmentation"], record["alignment"]] for record in map(json.loads, lines)]


def alone(run: Path, accumulate: int = 1) -> dict[str, Tensor]:
    run.mkdir()
    model = network()
    train(model, episodes(FIVE_PAIRS), FIVE_PAIRS, run, device=CPU, alignment=1.0, accumulate=accumulate)
    return model.state_dict()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    run = tmp_path_factory.mktemp("alone") / "run"
    return run, alone(run)


def assert_equals(run: Path, weights: dict[str, Tensor], expected: tuple[Path, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(torch.tensor(curve(run)), torch.tensor(curve(expected[0])), rtol=1e-4, atol=1e-5)
    for name, tensor in expected[1].items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


def test_others_wait_for_hours_while_the_first_works(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    said = {}
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: said.update(options))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with joined(CPU):
        assert said["timeout"] >= timedelta(hours=12)


def test_a_share_of_a_batch_holds_its_episodes():
    source = episodes(FIVE_PAIRS)
    whole = source.batch(3)
    shares = [source.batch(3, share, 3) for share in range(3)]
    assert [len(share.query_images) for share in shares] == [1, 2, 2]
    assert torch.equal(torch.cat([share.query_images for share in shares]), whole.query_images)


@pytest.mark.parametrize("accumulate", [2, 5])
def test_a_batch_taken_in_parts_trains_alike(tmp_path: Path, accumulate: int, expected):
    assert_equals(tmp_path / "run", alone(tmp_path / "run", accumulate), expected)


def test_more_parts_than_pairs_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="5 pairs can't be divided among 1 processes x 6 parts"):
        alone(tmp_path / "run", 6)


@pytest.mark.slow
def test_two_processes_train_alike_each_in_two_parts(tmp_path: Path, expected):
    ran = torchrun(2, WORKER, "train", tmp_path, "2")
    assert ran.returncode == 0, ran.stderr
    first, second = (torch.load(tmp_path / f"weights_{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_equals(tmp_path, first, expected)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path, expected):
    """The one quick test of several processes: they train alike, fail in one line, and one process goes on."""
    ran = torchrun(2, WORKER, "cut", tmp_path, "2")
    assert ran.returncode != 0
    assert [line for line in ran.stderr.splitlines() if line.startswith("psmnet: ")] == ["psmnet: disk full; make room"]
    assert len(curve(tmp_path)) == UNTIL
    model = network()
    train(model, episodes(FIVE_PAIRS), FIVE_PAIRS, tmp_path, device=CPU, alignment=1.0, ranks=ALONE, resume=True)
    assert_equals(tmp_path, model.state_dict(), expected)


@pytest.mark.slow
def test_one_process_goes_on_as_two(tmp_path: Path, expected):
    assert torchrun(1, WORKER, "cut", tmp_path).returncode != 0
    ran = torchrun(2, WORKER, "resume", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert_equals(tmp_path, torch.load(tmp_path / "weights_0.pt"), expected)


@pytest.mark.parametrize("failing", [None, 0, 1])
def test_ranks_take_turns_and_a_failure_of_one_ends_all(monkeypatch: pytest.MonkeyPatch, failing: int | None):
    """Two threads in place of processes."""
    barrier, sent = threading.Barrier(2), {}

    def gather(into: list[bool], value: bool) -> None:
        sent[threading.get_ident()] = value
        barrier.wait()
        into[:] = [sent[thread] for thread in threads]
        barrier.wait()

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    done: list[int] = []
    threads = [0, 0]

    def work(rank: int) -> int:
        threads[rank] = threading.get_ident()
        barrier.wait()

        def turn() -> int:
            if rank == failing:
                raise InputError("no disk", "give one")
            done.append(rank)
            return rank

        try:
            return Ranks(rank, 2, rank).in_turn(turn)
        except InputError:
            return 10
        except SystemExit as error:
            return 20 + int(error.code or 0)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))
    assert results == {None: [0, 1], 0: [10, 22], 1: [22, 10]}[failing]
    assert done == {None: [0, 1], 0: [], 1: [0]}[failing]


@pytest.mark.slow
def test_others_find_what_the_first_made_and_a_failure_of_one_ends_all(tmp_path: Path):
    ran = torchrun(2, WORKER, "in-turn", tmp_path)
    assert ran.returncode != 0
    assert (tmp_path / "saw_0").exists()
    assert (tmp_path / "saw_1").exists()
    assert ran.stderr.count("psmnet: the second has no disk") == 1
    assert not (tmp_path / "went-on").exists()


@pytest.mark.slow
def test_the_command_trains_with_two_processes_and_speaks_once(tmp_path: Path, phantoms: Path):
    out = tmp_path / "run"
    small = ["--set", "input_size=32", "--set", "channels=16", "--steps", "2", "--threads", "1"]
    command = ["--no-python", PSMNET, "train", phantoms, "--dataset", "phantom", *small, "--out", out]
    ran = torchrun(2, *command)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("weights: ") == 1
    assert ran.stdout.count("making superpixels") == 1
    assert (out / "weights.safetensors").exists()
    again = torchrun(2, *command)
    assert again.returncode != 0
    assert again.stderr.count("already holds a run") == 1
