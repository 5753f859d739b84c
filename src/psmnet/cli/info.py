"""psmnet info."""

import json
from dataclasses import asdict
from typing import Any

import rich_click as click
from rich.table import Table

from psmnet import runtime
from psmnet.catalog import DATASETS, METHODS, PROTOCOLS, SETTINGS
from psmnet.cli import console
from psmnet.config import PRESETS


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--device", is_flag=True, help="Which device would be used (loads torch).")
def command(as_json: bool, device: bool) -> None:
    """Data sets, methods, presets and versions."""
    facts: dict[str, Any] = {
        "datasets": {name: asdict(data) for name, data in DATASETS.items()},
        "methods": METHODS,
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
    table = Table("name", "data set", "cases", "licence", "source", title="data sets")
    for name, data in DATASETS.items():
        table.add_row(name, data.title, str(data.cases or ""), data.licence, data.source)
    console.out.print(table)
    console.out.print(f"methods: {', '.join(facts['methods'])}")
    console.out.print(f"presets: {', '.join(PRESETS)}")
    console.out.print(f"protocols: {', '.join(PROTOCOLS)}")
    console.out.print("versions: " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items()))
    if device:
        console.out.print(f"device: {facts['device']}")
