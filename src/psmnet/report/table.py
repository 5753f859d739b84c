"""Results as a table for the terminal: a selection that fits 80 columns; the file has all."""

from typing import Any

from rich.table import Column, Table

COLUMNS = {
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "hd95_mm": "HD95 mm",
    "nsd_2mm": "NSD",
}


def results_table(results: dict[str, Any]) -> Table:
    """Means over query scans by organ, and their mean."""
    summary = results["summary"]
    title = f"{results['method']} on {results['dataset']}, fold {results['fold']}, {results['protocol']}"
    table = Table(Column("organ", no_wrap=True), *COLUMNS.values(), "scans", title=title)
    for name, row in summary["by_label"].items():
        table.add_row(name, *(_cell(row[m], m) for m in COLUMNS), str(summary["n"][name]["dice"]))
    table.add_section()
    table.add_row("mean", *(_cell(summary["mean"][m], m) for m in COLUMNS), "")
    return table


def _cell(value: float | None, metric: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if metric.endswith("_mm") else f"{value:.3f}"
