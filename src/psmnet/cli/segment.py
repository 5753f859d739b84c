"""psmnet segment."""

from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.masks import fail_on_failed, print_masks
from psmnet.cli.options import (
    DATA,
    default_of,
    device_option,
    examples,
    method_option,
    names_option,
    overwrite_option,
    series_option,
    threads_option,
    weights_option,
)
from psmnet.cli.scan_options import (
    absolute,
    absolute_weights,
    chosen_workers,
    format_option,
    label_values,
    labels_option,
    support_option,
    trust_grid_option,
    workers_options,
)
from psmnet.cohort import EXTRAS, CohortJob, notes_of, segment_cohort
from psmnet.errors import ConfigError
from psmnet.io import anonymised, find_queries, read_names
from psmnet.segmentation import PRECISIONS

EXAMPLES = examples(
    "segment new.nii.gz --support old.nii.gz old_labels.nii.gz --out masks",
    "segment scans/ --support old.nii.gz old_labels.nii.gz --out masks \\\n      --names organs.csv --workers 2",
    "segment dicom/ --support old.nii.gz old.seg.nrrd --out masks",
    "segment new.nii.gz --weights learned --out masks",
)


@click.command("segment", epilog=EXAMPLES)
@click.argument("queries", nargs=-1, required=True, metavar="QUERY...")
@support_option("A learned network takes none.")
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Folder for masks, pictures and report.json.")
@weights_option()
@method_option()
@labels_option("segment")
@names_option()
@overwrite_option("masks")
@format_option()
@click.option(
    "--save",
    metavar="WHAT,...",
    help="More files to write: probabilities (of each organ), uncertainty, matches (which labelled slice each slice is "
    "compared with).",
)
@click.option(
    "--anonymise", is_flag=True, help="Name the outputs by checksums, not by file names. Writes no DICOM SEG."
)
@series_option()
@trust_grid_option()
@workers_options()
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default=default_of(CohortJob, "precision"),
    show_default=True,
    help="Precision of the encoder. With bfloat16 a scan takes about a fifth to a third less time, "
    "if the processor has it.",
)
@device_option()
@threads_option()
def command(
    queries: tuple[str, ...],
    supports: tuple[tuple[Path, Path], ...],
    out: Path,
    weights: str | None,
    method: str | None,
    labels: str | None,
    names: Path | None,
    overwrite: bool,
    ending: str,
    save: str | None,
    anonymise: bool,
    series: tuple[str, ...],
    trust_support_grid: bool,
    workers: int | None,
    timeout: float | None,
    cluster: str | None,
    insecure: bool,
    precision: str,
    device: str,
    threads: int | None,
) -> None:
    """Segment scans by the example of one or more labelled scans, or with a learned network.

    A query is a scan to segment: a file, a DICOM folder, a folder of these, or a pattern in quotes. A support is a
    labelled scan that serves as the example. A learned network (--weights RUN) needs no support.

    Each query gets a mask on its own grid with the label values of the support, and an overlay picture to check it.
    A DICOM query also gets a DICOM Segmentation, which contains the patient's identity as the query does. Run the
    command again to continue: scans that were done with the same inputs and settings are kept.
    """
    if not supports and weights is None:
        raise click.UsageError("Missing option '--support' (only a learned network, --weights RUN, needs none)")
    who = chosen_workers(workers, timeout, cluster, insecure)
    found, skipped = find_queries(queries, [path for pair in supports for path in pair], out)
    if anonymise:
        found = anonymised(found)
    job = CohortJob(
        supports=absolute(supports),
        out=out.absolute(),
        names=read_names(names) if names else {},
        labels=label_values(labels),
        series=series,
        trust_grid=trust_support_grid,
        method=method,
        weights=absolute_weights(weights),
        device=device,
        precision=precision,
        threads=threads,
        ending=ending,
        save=_extras(save),
        overwrite=overwrite,
        anonymise=anonymise,
    )
    with console.progress("scans", len(found)) as advance:
        job, loaded, cohort = segment_cohort(
            job,
            found,
            skipped,
            workers=who,
            report=advance,
        )
    for note in notes_of(job, loaded):
        console.out.print(f"note: {note}")
    print_masks(out, cohort, job.ending, loaded.called, anonymise=anonymise)
    fail_on_failed(cohort, anonymise=anonymise)


def _extras(text: str | None) -> frozenset[str]:
    wanted = frozenset(part.strip() for part in (text or "").split(",") if part.strip())
    if unknown := sorted(wanted - set(EXTRAS)):
        raise ConfigError(f"--save has no {', '.join(unknown)}", f"choose from {', '.join(EXTRAS)}")
    return wanted
