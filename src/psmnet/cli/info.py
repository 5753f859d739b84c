"""psmnet info."""

import json
from dataclasses import asdict
from typing import Any

import rich_click as click

from psmnet import runtime
from psmnet.catalog import DATASETS, PROTOCOLS, SETTINGS
from psmnet.cli import console
from psmnet.config import PRESETS
from psmnet.models import METHODS


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--device", is_flag=True, help="Which device would be used (loads torch).")
def command(as_json: bool, device: bool) -> None:
    """Data sets, methods, presets and versions."""
    facts: dict[str, Any] = {
        "datasets": {name: asdict(data) for name, data in DATASETS.items()},
        "methods": {name: asdict(method) for name, method in METHODS.items()},
        "presets": {name: asdict(preset) for name, preset in PRESETS.items()},
        "protocols": PROTOCOLS,
        "settings": {str(number): text for number, text in SETTINGS.items()},
        "versions": runtime.versions(),
    }
    if device:
        facts["device"] = str(runtime.pick_device())
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    for name, data in DATASETS.items():
        cases = f", {data.cases} cases" if data.cases else ""
        console.out.print(f"{name}: {data.title}{cases}")
        console.out.print(f"    licence: {data.licence}; source: {data.source}")
    console.out.print(f"methods: {', '.join(facts['methods'])}")
    console.out.print(f"presets: {', '.join(PRESETS)}")
    console.out.print(f"protocols: {', '.join(PROTOCOLS)}")
    console.out.print("versions: " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items()))
    if device:
        console.out.print(f"device: {facts['device']}")
