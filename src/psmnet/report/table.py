"""Results as a table for the terminal: the metrics that fit 80 columns; the file has all."""

from typing import Any

from rich.table import Column, Table

from psmnet.evaluation import METRICS


def results_table(results: dict[str, Any]) -> Table:
    """Means over query scans by organ, and their mean."""
    summary = results["summary"]
    title = f"{results['method']} on {results['dataset']}, fold {results['fold']}, {results['protocol']}"
    shown = {name: metric for name, metric in METRICS.items() if metric.in_terminal}
    table = Table(Column("organ", no_wrap=True), *(m.heading for m in shown.values()), "scans", title=title)
    for organ, row in summary["by_label"].items():
        table.add_row(organ, *(m.text(row.get(name)) for name, m in shown.items()), str(summary["n"][organ]["dice"]))
    table.add_section()
    table.add_row("mean", *(m.text(summary["mean"].get(name)) for name, m in shown.items()), "")
    return table
