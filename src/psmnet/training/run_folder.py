"""The folder of a training run: what `run.json` holds, and whether a run may write there."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from psmnet.config import Preset
from psmnet.errors import ConfigError
from psmnet.models import current_names, current_texts
from psmnet.system import read_json
from psmnet.training.checkpoint import CHECKPOINT_NAME
from psmnet.training.run_spec import RunSpec

RUN_NAME = "run.json"


def require_room(out: Path, resume: bool) -> None:
    """Refuse a folder that holds a run, unless it is to be resumed.

    Raises:
        ConfigError: there is one.
    """
    if (out / RUN_NAME).exists() and not resume:
        raise ConfigError(f"{out} already holds a run", "resume it, or choose another folder", code="run-exists")


def require_same_run(spec: RunSpec, preset: Preset, out: Path, resume: bool) -> dict[str, Any]:
    """Refuse a folder with another run.

    Returns:
        what `run.json` is to hold.

    Raises:
        ConfigError: the folder holds another run, or one that is not to be resumed.
    """
    wanted = run_record(spec, preset)
    path = out / RUN_NAME
    require_room(out, resume)
    if path.exists():
        before = _current(read_json(path), spec.dataset)
        if before != wanted:
            old, new = before["run"], wanted["run"]
            changed = [f"{key} {old.get(key)}, not {new[key]}" for key in sorted(new) if old.get(key) != new[key]]
            with_ = ", ".join(changed) or f"preset {spec.preset} of another version"
            raise ConfigError(f"{out} was begun with {with_}", "resume with the same options")
    elif (out / CHECKPOINT_NAME).exists():
        raise ConfigError(f"{out} holds a checkpoint without {RUN_NAME}", "choose another folder", code="out")
    return wanted


def run_record(spec: RunSpec, preset: Preset) -> dict[str, Any]:
    """A run's settings as plain values, with the names that they have today."""
    run = _plain(spec) | {"changes": list(current_texts(spec.changes, warn=False))}
    return {"run": run, "preset": _plain(preset)}


def _current(record: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The record of a run that an earlier version may have begun, as this version would write it."""
    run = _plain(RunSpec(dataset)) | record.get("run", {})  # options that the earlier version did not have
    run["changes"] = list(current_texts(run["changes"], warn=False))
    preset = record.get("preset", {})
    if "model" in preset:
        preset["model"]["settings"] = current_names(preset["model"].get("settings", {}))
    if "train" in preset:
        preset["train"].pop("alignment", None)  # a setting of the method, which earlier versions wrote twice
    return record | {"run": run, "preset": preset}


def _plain(recorded: RunSpec | Preset) -> dict[str, Any]:
    """As it is read back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recorded)))
    return plain
