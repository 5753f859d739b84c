"""psmnet segment."""

import re
from pathlib import Path

import rich_click as click

from psmnet.cli import console
from psmnet.cli.hints import HINTS
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
from psmnet.cohort import (
    EXTRAS,
    FORMATS,
    SHEET_NAME,
    TABLE_NAME,
    Cohort,
    CohortJob,
    Loaded,
    failure,
    notes_of,
    segment_cohort,
)
from psmnet.errors import ConfigError, InputError
from psmnet.io import anonymised, find_queries, read_names, unnamed
from psmnet.segmentation import PRECISIONS
from psmnet.system import ITEM_TIMEOUT_S, Workers, counted, require_safe

EXAMPLES = examples(
    "segment new.nii.gz --support old.nii.gz old_labels.nii.gz --out masks",
    "segment scans/ --support old.nii.gz old_labels.nii.gz --out masks \\\n      --names organs.csv --workers 2",
    "segment dicom/ --support old.nii.gz old.seg.nrrd --out masks",
    "segment new.nii.gz --weights learned --out masks",
)


@click.command("segment", epilog=EXAMPLES)
@click.argument("queries", nargs=-1, required=True, metavar="QUERY...")
@click.option(
    "--support",
    "supports",
    type=(DATA, DATA),
    multiple=True,
    metavar="IMAGE LABEL",
    callback=lambda context, _option, pairs: _two_files_each(context, pairs),
    help="Labelled scan: the image and its label map (also .seg.nrrd, DICOM SEG, or a folder of masks). "
    "Can be repeated. A learned network takes none.",
)
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Folder for masks, pictures and report.json.")
@weights_option()
@method_option()
@click.option("--labels", metavar="N,...", help="Label values to segment, for example 1,4 (default: all).")
@names_option()
@overwrite_option("masks")
@click.option(
    "--format",
    "ending",
    type=click.Choice(FORMATS),
    default=default_of(CohortJob, "ending"),
    show_default=True,
    help="File format of the masks.",
)
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
@click.option(
    "--trust-support-grid",
    is_flag=True,
    help="Ignore the position in the header of a label map that has the size of its image. Risk: a label map of "
    "another scan is not noticed.",
)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Scans that are segmented at the same time (default: 1)."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help=f"Time after which a scan is given up (default: {ITEM_TIMEOUT_S / 60:g}).",
)
@click.option(
    "--cluster", metavar="ADDRESS", help="Dask scheduler whose workers segment the scans, for example tls://host:8786."
)
@click.option("--insecure", is_flag=True, help="Allow a --cluster on another machine without encryption (TLS).")
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
    if cluster is not None:
        require_safe(cluster, insecure=insecure)
    if cluster is not None and workers is not None:
        raise ConfigError("--workers and --cluster exclude each other", "leave one out: a cluster has its own workers")
    found, skipped = find_queries(queries, [path for pair in supports for path in pair], out)
    if anonymise:
        found = anonymised(found)
    job = CohortJob(
        supports=tuple((image.absolute(), mask.absolute()) for image, mask in supports),
        out=out.absolute(),
        names=read_names(names) if names else {},
        labels=_label_values(labels),
        series=series,
        trust_grid=trust_support_grid,
        method=method,
        weights=str(Path(weights).absolute()) if weights and Path(weights).exists() else weights,
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
            workers=Workers(workers, 60 * timeout if timeout else None, cluster),
            report=advance,
        )
    _print(out, job, loaded, cohort)


def _extras(text: str | None) -> frozenset[str]:
    wanted = frozenset(part.strip() for part in (text or "").split(",") if part.strip())
    if unknown := sorted(wanted - set(EXTRAS)):
        raise ConfigError(f"--save has no {', '.join(unknown)}", f"choose from {', '.join(EXTRAS)}")
    return wanted


def _two_files_each(context: click.Context, pairs: tuple[tuple[Path, Path], ...]) -> tuple[tuple[Path, Path], ...]:
    for pair in pairs:
        if any(path.name.startswith("--") for path in pair):
            raise click.UsageError(_not_two_files(*pair), context)
    return tuple(dict.fromkeys(pairs))


def _not_two_files(image: Path, labels: Path) -> str:
    """Both words were taken as files, the option's name among them."""
    place = f"after {image} comes {labels}" if labels.name.startswith("--") else f"after --support comes {image}"
    return f"--support needs two files, IMAGE LABEL; {place}"


def _label_values(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--labels is {text}", "give whole numbers above 0, for example 1,4")
    return tuple(int(part) for part in parts)


def _print(out: Path, job: CohortJob, loaded: Loaded, cohort: Cohort) -> None:
    for skip in cohort.skipped:
        console.out.print(f"skipped {'a file' if job.anonymise else skip.path.name}: {skip.reason}")
    for note in notes_of(job, loaded):
        console.out.print(f"note: {note}")
    for entry in cohort.entries:
        for note in entry.notes:
            name = entry.query
            console.out.print(f"note: {note}" if note.startswith(f"{name}: ") else f"note: {name}: {note}")
    if cohort.kept:
        console.out.print(
            f"kept: {cohort.kept} of {len(cohort.entries)}, done before with the same inputs and settings"
        )
    if cohort.entries:
        worst = cohort.ranked()[0]
        flagged = [f"{organ}: {', '.join(words)}" for organ, words in cohort.flags[worst.name].items() if words]
        why = "; ".join(flagged) or f"confidence {worst.confidence:.2f}"
        console.out.print(f"masks: {len(cohort.entries)} in {out} (<name>_seg.{job.ending})")
        if any(organ != unnamed(value) for value, organ in loaded.called.items()):
            console.out.print(f"labels: {', '.join(f'{v} {organ.name}' for v, organ in loaded.called.items())}")
        console.out.print(f"table and pictures: {out / TABLE_NAME}, {out / SHEET_NAME}")
        console.out.print(f"look first at: {out / worst.overlay} ({why})")
    failures = [failure(query, error, job.anonymise, HINTS) for query, error in cohort.failed]
    kept = " (the others are kept)" if cohort.entries else ""
    if len(failures) == 1:  # one line says it all, with the scan's own remedy
        count, one = len(cohort.entries) + 1, failures[0]
        named = re.search(rf"(?<!\S){re.escape(one.query)}(?![^\s:;,])", one.reason)
        what, _, remedy = (one.reason if named else f"{one.query}: {one.reason}").partition("; ")
        raise InputError(f"1 of {counted(count, 'scan')} failed: {what}", f"{remedy}{kept}")
    remedy = f"fix or remove them, then run again{kept}"
    console.fail_on({one.name: one.reason for one in failures}, remedy, what="scan")
