"""psmnet export."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.options import DATA, jobs_option, weights_option
from psmnet.errors import ConfigError
from psmnet.system import locked


@click.command("export")
@click.argument("data", type=DATA, required=False)
@click.argument("out", type=DATA, required=False, metavar="DATASETNNN_NAME")
@click.option("--dataset", metavar="NAME", help="If DATA has no dataset.json that says it.")
@click.option("--onnx", type=DATA, metavar="DIR", help="Write the network there as ONNX instead.")
@weights_option()
@jobs_option()
def command(
    data: Path | None, out: Path | None, dataset: str | None, onnx: Path | None, weights: str | None, jobs: int
) -> None:
    """Write the prepared folder DATA as an nnU-Net v2 data set; scans without labels go to imagesTs.

    Or, with --onnx DIR and no DATA, the network for programs without PyTorch.
    """
    if onnx is not None:
        if data is not None or dataset is not None:
            raise ConfigError("--onnx with a data set", "give the one or the other")
        _network(onnx, weights or "bundled")
        return
    if weights is not None:
        raise ConfigError("--weights without --onnx", "add --onnx DIR")
    if data is None or out is None:
        raise click.UsageError(f"Missing argument '{'DATA' if data is None else 'DATASETNNN_NAME'}', or --onnx")
    _data_set(data, out, dataset, jobs)


def _data_set(data: Path, out: Path, dataset: str | None, jobs: int) -> None:
    from psmnet.export import export_nnunet

    with locked(out), console.progress("cases", None) as advance:
        failed = export_nnunet(data, out, dataset, jobs=jobs, report=advance)
    console.out.print(f"nnU-Net data set: {out}")
    console.fail_on(failed, "mend these and run the command again")


def _network(out: Path, weights: str) -> None:
    from psmnet.export import export_onnx
    from psmnet.models import load_weights

    with locked(out):
        left = export_onnx(load_weights(weights), out)
    for name, value in left.items():
        console.out.print(f"note: {name}={value} is no part of the graphs")
    console.out.print(f"ONNX: {out}")
