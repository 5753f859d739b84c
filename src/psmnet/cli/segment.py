"""psmnet segment."""

import time
from pathlib import Path
from typing import Any

import rich_click as click

from psmnet import runtime
from psmnet.checkpoint import Weights
from psmnet.cli import console
from psmnet.cli.options import (
    DATA,
    device_option,
    method_option,
    overwrite_option,
    set_threads,
    threads_option,
    weights_option,
)
from psmnet.cohort import Query, find_queries, segment_queries
from psmnet.errors import ConfigError, InputError
from psmnet.files import read_json, write_json
from psmnet.io.names import without_folder
from psmnet.io.organ_names import read_names
from psmnet.lock import locked
from psmnet.predictors import load_method, method_name, segmenter_of
from psmnet.report.overlay import draw_overlay
from psmnet.segmenter import Segmentation
from psmnet.supports import read_supports
from psmnet.volume import Volume


@click.command("segment")
@click.argument("queries", nargs=-1, required=True, metavar="QUERY...")
@click.option(
    "--support",
    "supports",
    type=(DATA, DATA),
    multiple=True,
    required=True,
    metavar="IMAGE LABEL",
    callback=lambda _context, _option, pairs: _two_files_each(pairs),
    help="A scan and its labels: a label map, .seg.nrrd, DICOM SEG or folder of masks. May be repeated.",
)
@click.option("--out", type=DATA, required=True, metavar="DIR", help="Where masks, overlays and report.json go.")
@weights_option()
@method_option()
@click.option("--labels", metavar="1,4", help="Label values to segment; all of the support's by default.")
@click.option("--names", type=DATA, metavar="FILE", help="What label values are called: JSON, CSV, ITK-SNAP, Slicer.")
@overwrite_option("masks")
@click.option("--skip-existing", is_flag=True, help="Leave out scans whose mask is there: go on after an interruption.")
@click.option("--series", metavar="UID", multiple=True, help="Series to take of DICOM folders; else the largest.")
@click.option("--trust-support-grid", is_flag=True, help="Take a label map of equal size as lying on its image.")
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
    skip_existing: bool,
    series: tuple[str, ...],
    trust_support_grid: bool,
    device: str,
    threads: int | None,
) -> None:
    """Segment scans (files, DICOM folders, folders of these or quoted globs) from one or more labelled ones.

    Each query gets a mask on its own grid with the support's label values, and an overlay picture to check it by.
    Queries that are DICOM also get a DICOM Segmentation, which carries the patient's identity as they do.
    """
    set_threads(threads)
    began = time.perf_counter()
    wanted = _label_values(labels)
    notes: list[str] = []
    found, skipped = find_queries(queries, [path for pair in supports for path in pair], out)
    labelled = read_supports(
        supports, names=read_names(names) if names else None, series=series, trust_grid=trust_support_grid, notes=notes
    )
    chosen = load_method(method, weights)
    segmenter = segmenter_of(chosen, runtime.pick_device(device))
    segmenter.set_support(labelled.pairs, wanted)
    called = {value: labelled.names[value].name for value in segmenter.label_values}
    if overwrite and skip_existing:
        raise ConfigError("--overwrite with --skip-existing", "give one of them")
    with locked(out), console.progress("scans", len(found)) as advance:
        entries = _earlier(out, found) if skip_existing else []

        def done(query: Query, image: Volume, result: Segmentation, mask: Path) -> None:
            overlay = out / f"{query.name}_overlay.png"
            seen = result.view.apply_array(result.labels.array_zyx)
            draw_overlay(result.view.apply(image), seen, called, overlay, title=query.name)
            entries.append(_entry(query, result, mask, overlay, called))
            advance(len(entries), query.name)

        failed = segment_queries(
            segmenter,
            found,
            out,
            names=labelled.names,
            series=series,
            overwrite=overwrite,
            skip_existing=skip_existing,
            done=done,
        )
        report = {
            "schema": "psmnet-segment-1",
            "supports": [{"image": image.name, "labels": mask.name} for image, mask in supports],
            "labels": {str(value): name for value, name in called.items()},
            "queries": entries,
            "failed": [
                {"query": query.path.name, "reason": without_folder(str(error), query.path)} for query, error in failed
            ],
            "skipped": [{"file": skip.path.name, "reason": skip.reason} for skip in skipped],
            "notes": notes,
            "method": method_name(chosen),
            "weights_sha256": chosen.sha256 if isinstance(chosen, Weights) else None,
            "versions": runtime.versions(),
            "seconds": round(time.perf_counter() - began, 3),
        }
        write_json(out / "report.json", report)
    _print(out, entries, notes, report)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(found)} scans failed: " + "; ".join(f"{q.path.name}: {e}" for q, e in failed),
            "mend or leave them out, then run again with --skip-existing",
        )


def _two_files_each(pairs: tuple[tuple[Path, Path], ...]) -> tuple[tuple[Path, Path], ...]:
    for pair in pairs:
        if any(path.name.startswith("--") for path in pair):
            raise click.BadParameter(f"{pair[0]} {pair[1]}: give two files, IMAGE LABEL")
    return tuple(dict.fromkeys(pairs))


def _label_values(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--labels {text}", "give whole numbers above 0, as in 1,4")
    return [int(part) for part in parts]


def _earlier(out: Path, queries: list[Query]) -> list[dict[str, Any]]:
    """What an earlier report says of queries whose masks are there."""
    path = out / "report.json"
    report = read_json(path) if path.exists() else {}
    masks = {query.mask_name for query in queries}
    return [e for e in report.get("queries", []) if e["mask"] in masks and (out / e["mask"]).exists()]


def _entry(query: Query, result: Segmentation, mask: Path, overlay: Path, called: dict[int, str]) -> dict[str, Any]:
    volumes = result.volumes_ml()
    return {
        "query": query.path.name,
        "mask": mask.name,
        "overlay": overlay.name,
        "confidence": min(result.confidence.values()),
        "labels": {
            called[value]: {"value": value, "volume_ml": round(volumes[value], 3), "confidence": round(confidence, 4)}
            for value, confidence in result.confidence.items()
        },
        "notes": list(result.notes),
    }


def _print(out: Path, entries: list[dict[str, Any]], notes: list[str], report: dict[str, Any]) -> None:
    for skip in report["skipped"]:
        console.out.print(f"skipped {skip['file']}: {skip['reason']}")
    for note in notes:
        console.out.print(f"note: {note}")
    for entry in entries:
        for note in entry["notes"]:
            console.out.print(f"note: {entry['query']}: {note}")
    if not entries:
        return
    worst = min(entries, key=lambda entry: entry["confidence"])
    missing = [value for value, found in worst["labels"].items() if found["volume_ml"] == 0]
    why = f"not found: {', '.join(missing)}" if missing else f"confidence {worst['confidence']:.2f}"
    console.out.print(f"masks: {len(entries)} in {out} (<name>_seg.nii.gz)")
    console.out.print(f"overlays: {out} (<name>_overlay.png)")
    console.out.print(f"look first at: {out / worst['overlay']} ({why})")
