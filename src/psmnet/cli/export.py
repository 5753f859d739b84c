"""psmnet export."""

from pathlib import Path

import rich_click as click
from click.core import ParameterSource

from psmnet.cli import console
from psmnet.cli.options import DATA, examples, jobs_option, overwrite_option, series_option
from psmnet.cli.scan_options import Pairs, support_option
from psmnet.errors import ConfigError, require
from psmnet.io import find_queries
from psmnet.system import locked, require_writable

EXAMPLES = examples(
    "export prepared Dataset001_Liver",
    "export learned --onnx --out network.onnx",
    "export masks Dataset002_Liver --scans scans/ --support old.nii.gz old_labels.nii.gz",
)
TAKEN = {  # options by what is exported
    "--onnx": ("out", "overwrite"),
    "--scans": ("dataset_folder", "supports", "series", "jobs"),
    "a prepared folder": ("dataset_folder", "dataset", "jobs"),
}
NAMES = {"dataset_folder": "DATASETNNN_NAME", "supports": "--support"}


@click.command("export", epilog=EXAMPLES)
@click.argument("source", type=DATA, metavar="DATA|RUN|MASKS")
@click.argument("dataset_folder", type=DATA, required=False, metavar="[DATASETNNN_NAME]")
@click.option("--onnx", is_flag=True, help="Write the learned network of RUN as ONNX.")
@click.option("--out", type=DATA, metavar="FILE", help="The ONNX file (default: network.onnx in RUN).")
@overwrite_option("an ONNX file")
@click.option(
    "--scans",
    multiple=True,
    metavar="PATH",
    help="Scans that MASKS are of: a file, a DICOM folder, a folder of these, or a pattern. Can be repeated.",
)
@support_option("With --scans: becomes a case, too.")
@series_option()
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
    scans: tuple[str, ...],
    supports: Pairs,
    series: tuple[str, ...],
    dataset: str | None,
    jobs: int,
) -> None:
    """Write prepared data or masks as an nnU-Net v2 data set, or a learned network as ONNX.

    DATA is a prepared folder; its scans without labels are written to imagesTs. MASKS is a folder that psmnet segment
    or psmnet learn wrote, with its scans named by --scans; masks that you corrected are exported as corrected. Existing
    files of a data set are replaced.

    RUN with --onnx: the file needs no labelled scan and no psmnet; examples/onnx_segment.py shows how to run it.
    """
    kind = "--onnx" if onnx else "--scans" if scans else "a prepared folder"
    for name in {name for names in TAKEN.values() for name in names}.difference(TAKEN[kind]):
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        require(not given, f"{NAMES.get(name, f'--{name}')} does not go with {kind}", "leave one out")
    if onnx:
        _export_network(source, out, overwrite)
    elif dataset_folder is None:
        raise click.UsageError("Missing argument 'DATASETNNN_NAME'", context)
    elif scans:
        _export_masks(source, scans, dataset_folder, supports, series, jobs)
    else:
        _export_data(source, dataset_folder, dataset, jobs)


def _export_network(run: Path, out: Path | None, overwrite: bool) -> None:
    from psmnet.export import ONNX_NAME, export_onnx

    target = out or (run if run.is_dir() else run.parent) / ONNX_NAME
    require_writable(target, overwrite=overwrite)
    export_onnx(run, target)
    console.out.print(f"ONNX: {target}")


def _export_masks(
    folder: Path, scans: tuple[str, ...], out: Path, supports: Pairs, series: tuple[str, ...], jobs: int
) -> None:
    from psmnet.export import export_masks

    found, _ = find_queries(scans, [path for pair in supports for path in pair], out)
    with locked(out), console.progress("cases", None) as advance:
        failed = export_masks(folder, found, out, supports=supports, series=series, jobs=jobs, report=advance)
    console.out.print(f"nnU-Net data set: {out}")
    console.fail_on(failed, "fix or remove these files and run the command again")


def _export_data(data: Path, out: Path, dataset: str | None, jobs: int) -> None:
    from psmnet.export import export_nnunet, is_masks_folder

    if is_masks_folder(data):
        raise ConfigError(f"{data} holds masks", "name the scans that they are of with --scans")
    with locked(out), console.progress("cases", None) as advance:
        failed = export_nnunet(data, out, dataset, jobs=jobs, report=advance)
    console.out.print(f"nnU-Net data set: {out}")
    console.fail_on(failed, "fix or remove these files and run the command again")
