"""psmnet info."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import rich_click as click
from rich.table import Table

from psmnet import runtime
from psmnet.catalog import DATASETS, PROTOCOLS, SETTINGS
from psmnet.cli import console
from psmnet.config import PRESETS
from psmnet.errors import ConfigError
from psmnet.models import METHODS


@click.command("info")
@click.argument("run", required=False, metavar="[RUN|FILE|bundled]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for programs.")
@click.option("--device", is_flag=True, help="Show which device would be used (loads PyTorch).")
def command(run: str | None, as_json: bool, device: bool) -> None:
    """List data sets, methods, presets, protocols and versions.

    With weights (the folder of a run, a file, or bundled): what they are for and what they were trained on.
    """
    if run is not None:
        if device:
            raise ConfigError("--device tells nothing about weights", "leave it out")
        _show_weights(run, as_json)
        return
    methods, broken = METHODS.usable()
    facts: dict[str, Any] = {
        "datasets": {name: asdict(data) for name, data in DATASETS.items()},
        "methods": {name: asdict(method) for name, method in methods.items()},
        "broken_methods": broken,
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
    _show(
        ("data set", "what", "cases", "organs", "licence", "where"),
        (
            (name, data.title, str(data.cases or "-"), str(len(data.labels) or "-"), data.licence, data.source or "-")
            for name, data in DATASETS.items()
        ),
    )
    lines = [(name, m.idea, "yes" if m.trained else "no") for name, m in methods.items()]
    lines += [(name, f"can't be imported: {reason}", "-") for name, reason in broken.items()]
    _show(("method", "idea", "trained"), lines)
    _show(("preset", "encoder", "pixels", "training steps"), map(_preset, PRESETS))
    _show(("protocol", "what the method knows about the query"), PROTOCOLS.items())
    _show(("part", "version"), facts["versions"].items())
    if device:
        console.out.print(f"device: {facts['device']}")


def _show_weights(run: str, as_json: bool) -> None:
    from psmnet.segmentation import describe_weights

    facts = describe_weights(run)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    _show(("weights", run), ((name, _text(value)) for name, value in facts.items()))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)


def _preset(name: str) -> tuple[str, ...]:
    model, train = PRESETS[name].model, PRESETS[name].train
    return name, model.encoder, f"{model.input_size} x {model.input_size}", str(train.steps)


def _show(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")  # a long DOI is not cut
    for row in rows:
        table.add_row(*row)
    console.out.print(table, soft_wrap=False)
