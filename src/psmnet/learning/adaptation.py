"""Adapts weights to a user's unlabelled scans.

The scans are converted to what segmentation shows the network (slices first, one pixel size, CT windowed) and trained
on like any data set. No labels are needed.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from psmnet.config import PRESETS
from psmnet.errors import ConfigError, PsmnetError
from psmnet.io import Query, checksum, read_scan, write_volume
from psmnet.models import WEIGHTS_NAME
from psmnet.segmentation import require_contrast, windowed
from psmnet.system import counted, locked, read_json, write_json
from psmnet.training import RunSpec, StepCallback, require_room, run_training
from psmnet.volume import Array, PixelGrid, Volume, slice_first

SCANS_NAME = "scans.json"
STEPS = 700  # optimiser steps by default
MULTIPLE = 16  # the sides of an image must be multiples of this for every encoder


def adaptation_spec(
    weights: str = "bundled", *, steps: int = STEPS, seed: int = 0, precision: str | None = None
) -> RunSpec:
    """Settings of the training that adapts weights.

    Args:
        weights: initial weights: `bundled`, a run or a file.
        steps: number of optimiser steps.
        seed: of the episodes.
        precision: of the encoder (default: the preset's).
    """
    return RunSpec("folder", kind="supervoxels", init=weights, steps=steps, seed=seed, precision=precision)


def adapt(
    spec: RunSpec,
    scans: Sequence[Query],
    out: Path,
    *,
    device: torch.device,
    series: tuple[str, ...] = (),
    jobs: int = 1,
    resume: bool = False,
    say: Callable[[str], None] = lambda line: None,
    report: StepCallback | None = None,
) -> tuple[Path | None, dict[str, PsmnetError]]:
    """Train existing weights further on scans.

    Args:
        spec: from `adaptation_spec`.
        scans: in any format that segmentation reads.
        out: RUN. It holds copies of the scans until training has finished.
        device: where to train.
        series: SeriesInstanceUIDs to read from DICOM folders (default: the largest series).
        jobs: processes that make pseudo-labels.
        resume: continue a run that was cut short.
        say: called with one line about what is being done.
        report: called with (steps done, losses) after every step.

    Returns:
        the weights file and no errors; or, if a scan can't be used, None and the errors by scan (nothing is trained).

    Raises:
        ConfigError: RUN holds another run, or a run on other scans.
        InputError: the weights can't be used, or RUN can't be written.
    """
    data = out / "scans"
    with locked(out):
        require_room(out, resume)
        size = PRESETS[spec.preset].model.input_size
        failed = {} if (out / WEIGHTS_NAME).exists() else _lay_out(scans, data, size, series, say)
    if failed:
        return None, failed
    weights = run_training(spec, out, data=data, device=device, jobs=jobs, resume=resume, say=say, report=report)
    for copies in (data, out / "pseudolabels"):  # nobody expects patient data in the folder of a run
        shutil.rmtree(copies, ignore_errors=True)
    return weights, {}


def _lay_out(
    scans: Sequence[Query],
    data: Path,
    size: int,
    series: tuple[str, ...],
    say: Callable[[str], None],
) -> dict[str, PsmnetError]:
    """Write scans as `image_<number>.nii.gz`, except those already there; returns the errors by scan."""
    listed = data.parent / SCANS_NAME
    wanted = {scan.name: checksum(scan.path) for scan in scans}
    if listed.exists() and (before := read_json(listed)) != wanted:
        changed = sorted(name for name in before | wanted if before.get(name) != wanted.get(name))
        raise ConfigError(
            f"{data.parent} was begun with other scans ({', '.join(changed[:5])})", "choose another folder", code="out"
        )
    data.mkdir(parents=True, exist_ok=True)
    write_json(listed, wanted)
    failed: dict[str, PsmnetError] = {}
    say(f"laying out {counted(len(scans), 'scan')}")
    for number, scan in enumerate(scans, 1):
        target = data / f"image_{number}.nii.gz"
        if target.exists():
            continue
        try:
            volume = read_scan(scan.path, series=series).volume
            require_contrast(volume, "the scan")
            write_volume(as_seen(volume, size), target)
        except PsmnetError as error:
            failed[scan.name] = error
    if failed:
        shutil.rmtree(data)
        listed.unlink()
    return failed


def as_seen(scan: Volume, size: int) -> Volume:
    """A scan as the network sees it: slices first, longer side `size` pixels, padded to a square, CT windowed.

    Returns:
        (Z, size, size), float32.
    """
    seen = slice_first(scan).apply(scan)
    columns, rows, count = seen.size_xyz
    x_mm, y_mm, z_mm = seen.spacing_mm
    pixel_mm = max(columns * x_mm, rows * y_mm) / size
    grid = PixelGrid.of((rows, columns), (y_mm, x_mm), pixel_mm, size, MULTIPLE)
    shown = windowed(seen.array_zyx)
    fill = float(shown.min())
    array: Array = np.empty((count, *grid.padded_yx), dtype=np.float32)
    for number, part in enumerate(shown):  # one by one, since a large CT already needs twice its memory
        array[number] = grid.to_pixels(torch.from_numpy(part.astype(np.float32))[None, None], fill)[0, 0].numpy()
    return Volume(array, (pixel_mm, pixel_mm, z_mm))
