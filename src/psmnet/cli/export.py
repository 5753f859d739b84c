"""psmnet export."""

from pathlib import Path

import rich_click as click
from click.core import ParameterSource

from psmnet.cli import console
from psmnet.cli.options import DATA, examples, jobs_option, overwrite_option
from psmnet.errors import ConfigError
from psmnet.system import locked, require_writable

EXAMPLES = examples(
    "export prepared Dataset001_Liver",
    "export learned --onnx --out network.onnx",
)


@click.command("export", epilog=EXAMPLES)
@click.argument("source", type=DATA, metavar="DATA|RUN")
@click.argument("dataset_folder", type=DATA, required=False, metavar="[DATASETNNN_NAME]")
@click.option("--onnx", is_flag=True, help="Write the learned network of RUN as ONNX.")
@click.option("--out", type=DATA, metavar="FILE", help="The ONNX file (default: network.onnx in RUN).")
@overwrite_option("an ONNX file")
@click.option("--dataset", metavar="NAME", help="Data set that DATA holds (default: what dataset.json says).")
@jobs_option()
@click.pass_context
def command(
    context: click.Context,
    source: Path,
    dataset_folder: Path | None,
    onnx: bool,
    out: Path | None,
    overwrite: bool,
    dataset: str | None,
    jobs: int,
) -> None:
    """Write the prepared folder DATA as an nnU-Net v2 data set, or a learned network as ONNX.

    nnU-Net: scans without labels are written to imagesTs. Existing files are replaced.

    ONNX: the file needs no labelled scan and no psmnet; examples/onnx_segment.py shows how to run it.
    """
    of_onnx, of_nnunet = ("onnx", "out", "overwrite"), ("dataset_folder", "dataset", "jobs")
    for name in of_nnunet if onnx else of_onnx:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "DATASETNNN_NAME" if name == "dataset_folder" else f"--{name}"
            raise ConfigError(f"{option} {'does not go' if onnx else 'only goes'} with --onnx", "leave one out")
    if onnx:
        _export_network(source, out, overwrite)
    elif dataset_folder is None:
        raise click.UsageError("Missing argument 'DATASETNNN_NAME'", context)
    else:
        _export_data(source, dataset_folder, dataset, jobs)


def _export_network(run: Path, out: Path | None, overwrite: bool) -> None:
    from psmnet.export import ONNX_NAME, export_onnx

    target = out or (run if run.is_dir() else run.parent) / ONNX_NAME
    require_writable(target, overwrite=overwrite)
    export_onnx(run, target)
    console.out.print(f"ONNX: {target}")


def _export_data(data: Path, out: Path, dataset: str | None, jobs: int) -> None:
    from psmnet.export import export_nnunet

    with locked(out), console.progress("cases", None) as advance:
        failed = export_nnunet(data, out, dataset, jobs=jobs, report=advance)
    console.out.print(f"nnU-Net data set: {out}")
    console.fail_on(failed, "fix or remove these files and run the command again")
