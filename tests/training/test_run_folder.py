import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from helpers.training_runs import CPU, SPEC, SYNTHETIC, TINY
from psmnet.config import PRESETS
from psmnet.errors import ConfigError, InputError
from psmnet.models.weights import WEIGHTS_NAME
from psmnet.system.locks import LOCK_NAME, locked
from psmnet.training.run import run_training
from psmnet.training.run_folder import RUN_NAME


def test_an_existing_run_is_not_overwritten_without_resume(finished_synthetic_run: Path):
    content = (finished_synthetic_run / WEIGHTS_NAME).read_bytes()
    with pytest.raises(ConfigError, match="already holds a run; resume it"):
        run_training(SYNTHETIC, finished_synthetic_run, device=CPU)
    assert run_training(SYNTHETIC, finished_synthetic_run, device=CPU, resume=True).read_bytes() == content


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"steps": 5}, "steps 1, not 5"),
        ({"pairs": 2}, "pairs None, not 2"),
        ({"fold": 1, "seed": 2}, "fold None, not 1, seed 0, not 2"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(finished_synthetic_run: Path, changes: dict[str, int], named: str):
    other = dataclasses.replace(SYNTHETIC, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"was begun with {named}; resume with the same"):
        run_training(other, finished_synthetic_run, device=CPU, resume=True)


def test_a_run_from_before_an_option_is_resumed(finished_synthetic_run: Path, tmp_path: Path):
    shutil.copytree(finished_synthetic_run, tmp_path / "run")
    path = tmp_path / "run" / RUN_NAME
    before = json.loads(path.read_text(encoding="utf-8"))
    del before["run"]["pairs"]
    path.write_text(json.dumps(before), encoding="utf-8")
    run_training(SYNTHETIC, tmp_path / "run", device=CPU, resume=True)
    with pytest.raises(ConfigError, match="was begun with pairs None, not 2; resume with the same"):
        run_training(dataclasses.replace(SYNTHETIC, pairs=2), tmp_path / "run", device=CPU, resume=True)


def test_a_run_is_not_resumed_with_a_changed_preset(finished_synthetic_run: Path, monkeypatch: pytest.MonkeyPatch):
    changed = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, learning_rate=1e-4))
    monkeypatch.setitem(PRESETS, "tiny", changed)
    with pytest.raises(ConfigError, match="was begun with preset tiny of another version; resume"):
        run_training(SYNTHETIC, finished_synthetic_run, device=CPU, resume=True)


def test_a_checkpoint_without_its_spec_is_left_alone(finished_synthetic_run: Path, tmp_path: Path):
    shutil.copytree(finished_synthetic_run, tmp_path / "run")
    (tmp_path / "run" / WEIGHTS_NAME).unlink()
    (tmp_path / "run" / RUN_NAME).unlink()
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"a checkpoint without run\.json"):
            run_training(SYNTHETIC, tmp_path / "run", device=CPU, resume=resume)


def test_a_run_folder_in_use_is_refused(tmp_path: Path):
    with locked(tmp_path / "run"):
        with pytest.raises(InputError, match=f"being written by process {os.getpid()} on"):
            run_training(SYNTHETIC, tmp_path / "run", device=CPU)
        assert [p.name for p in (tmp_path / "run").iterdir()] == [LOCK_NAME]


def test_a_finished_run_is_left_as_it_is(data: Path, finished_run: Path):
    path = finished_run / WEIGHTS_NAME
    before = path.stat().st_mtime_ns
    lines: list[str] = []
    assert run_training(SPEC, finished_run, data=data, device=CPU, resume=True, say=lines.append) == path
    assert lines == ["this run is finished"]
    assert path.stat().st_mtime_ns == before
