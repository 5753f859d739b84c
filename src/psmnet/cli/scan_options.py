"""Options of the commands that segment a user's scans: labelled scans, masks, and who works on the scans."""

from pathlib import Path

import rich_click as click

from psmnet.cli.options import DATA, Decorator, default_of, together
from psmnet.cohort import FORMATS, CohortJob
from psmnet.errors import ConfigError
from psmnet.system import ITEM_TIMEOUT_S, Workers, require_safe

Pairs = tuple[tuple[Path, Path], ...]


def support_option(text: str, *, required: bool = False) -> Decorator:
    """--support IMAGE LABEL, any number of times."""
    return click.option(
        "--support",
        "supports",
        type=(DATA, DATA),
        multiple=True,
        required=required,
        metavar="IMAGE LABEL",
        callback=lambda context, _option, pairs: _two_files_each(context, pairs),
        help="Labelled scan: the image and its label map (also .seg.nrrd, DICOM SEG, or a folder of masks). "
        f"Can be repeated. {text}".strip(),
    )


def absolute(supports: Pairs) -> Pairs:
    """The same files, whatever folder a worker runs in."""
    return tuple((image.absolute(), labels.absolute()) for image, labels in supports)


def absolute_weights(weights: str | None) -> str | None:
    """The same for weights, which may also be named."""
    return str(Path(weights).absolute()) if weights and Path(weights).exists() else weights


def labels_option(verb: str) -> Decorator:
    """--labels N,..."""
    text = f"Label values to {verb}, for example 1,4 (default: all)."
    return click.option("--labels", metavar="N,...", help=text)


def label_values(text: str | None) -> tuple[int, ...] | None:
    """What --labels names.

    Raises:
        ConfigError: something else than whole numbers above 0.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--labels is {text}", "give whole numbers above 0, for example 1,4")
    return tuple(int(part) for part in parts)


def format_option() -> Decorator:
    """--format NAME of masks."""
    return click.option(
        "--format",
        "ending",
        type=click.Choice(FORMATS),
        default=default_of(CohortJob, "ending"),
        show_default=True,
        help="File format of the masks.",
    )


def trust_grid_option() -> Decorator:
    """--trust-support-grid."""
    return click.option(
        "--trust-support-grid",
        is_flag=True,
        help="Ignore the position in the header of a label map that has the size of its image. Risk: a label map of "
        "another scan is not noticed.",
    )


def workers_options() -> Decorator:
    """--workers, --timeout, --cluster and --insecure."""
    return together(
        click.option(
            "--workers",
            type=click.IntRange(1),
            metavar="N",
            help="Scans that are segmented at the same time (default: 1).",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            metavar="MINUTES",
            help=f"Time after which a scan is given up (default: {ITEM_TIMEOUT_S / 60:g}).",
        ),
        click.option(
            "--cluster",
            metavar="ADDRESS",
            help="Dask scheduler whose workers segment the scans, for example tls://host:8786.",
        ),
        click.option("--insecure", is_flag=True, help="Allow a --cluster on another machine without encryption (TLS)."),
    )


def chosen_workers(workers: int | None, timeout: float | None, cluster: str | None, insecure: bool) -> Workers:
    """Who works on the scans.

    Raises:
        ConfigError: both workers and a cluster, or a cluster that is not safe.
    """
    if cluster is not None:
        require_safe(cluster, insecure=insecure)
    if cluster is not None and workers is not None:
        raise ConfigError("--workers and --cluster exclude each other", "leave one out: a cluster has its own workers")
    return Workers(workers, 60 * timeout if timeout else None, cluster)


def _two_files_each(context: click.Context, pairs: Pairs) -> Pairs:
    for pair in pairs:
        if any(path.name.startswith("--") for path in pair):
            raise click.UsageError(_not_two_files(*pair), context)
    return tuple(dict.fromkeys(pairs))


def _not_two_files(image: Path, labels: Path) -> str:
    """Both words were taken as files, the option's name among them."""
    place = f"after {image} comes {labels}" if labels.name.startswith("--") else f"after --support comes {image}"
    return f"--support needs two files, IMAGE LABEL; {place}"
