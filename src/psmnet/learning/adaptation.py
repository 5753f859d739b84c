"""`psmnet adapt`: weights that are made to fit a user's own unlabelled scans, from those that the package ships.

The scans are laid out as segmentation sees them (slices first, one size of pixels, CT windowed) and trained on as any
data set is. No label is read, so that whoever has none can adapt.
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
from psmnet.system import locked, read_json, write_json
from psmnet.training import RunSpec, StepCallback, require_room, run_training
from psmnet.volume import Array, PixelGrid, Volume, slice_first

SCANS_NAME = "scans.json"
STEPS = 700
MULTIPLE = 16  # what the sides of an image must be multiples of, whatever the encoder


def adaptation_spec(
    weights: str = "bundled", *, steps: int = STEPS, seed: int = 0, precision: str | None = None
) -> RunSpec:
    """The training that adapts weights.

    Args:
        weights: to begin with: `bundled`, a run or a file.
        steps: optimiser steps.
        seed: of the episodes.
        precision: of the encoder; None for the preset's.
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
    """Train on scans from weights that are there.

    Args:
        spec: of `adaptation`.
        scans: of any kind that `psmnet segment` takes.
        out: RUN. Copies of the scans lie in it until the weights are there.
        device: where to train.
        series: of DICOM folders, to take; else the largest.
        jobs: processes that make pseudo-labels.
        resume: go on with a run that was cut short.
        say: told in one line what is being done.
        report: told (step, losses) after every step.

    Returns:
        The weights file, and no failure; or None, and why scans can't be used: nothing is trained then.

    Raises:
        ConfigError: RUN holds another run, or one of other scans.
        InputError: the weights can't be used, or RUN not written.
    """
    data = out / "scans"
    with locked(out):
        require_room(out, resume)
        size = PRESETS[spec.preset].model.input_size
        failed = {} if (out / WEIGHTS_NAME).exists() else _lay_out(scans, data, size, series, say)
    if failed:
        return None, failed
    weights = run_training(spec, out, data=data, device=device, jobs=jobs, resume=resume, say=say, report=report)
    for copies in (data, out / "pseudolabels"):  # a run is no place where people look for patients
        shutil.rmtree(copies, ignore_errors=True)
    return weights, {}


def _lay_out(
    scans: Sequence[Query],
    data: Path,
    size: int,
    series: tuple[str, ...],
    say: Callable[[str], None],
) -> dict[str, PsmnetError]:
    """Write scans as `image_<number>.nii.gz`; those that are there stay. Returns why some can't be used."""
    listed = data.parent / SCANS_NAME
    asked = {scan.name: checksum(scan.path) for scan in scans}
    if listed.exists() and (before := read_json(listed)) != asked:
        changed = sorted(name for name in before | asked if before.get(name) != asked.get(name))
        raise ConfigError(
            f"{data.parent} was begun with other scans ({', '.join(changed[:5])})", "choose another folder", code="out"
        )
    data.mkdir(parents=True, exist_ok=True)
    write_json(listed, asked)
    failed: dict[str, PsmnetError] = {}
    say(f"laying out {len(scans)} scan{'s' * (len(scans) > 1)}")
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
    """A scan as the network sees it: slices first, the longer side `size` pixels, padded to a square, CT windowed.

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
    for number, part in enumerate(shown):  # one by one: a large CT is there twice as it is
        array[number] = grid.to_pixels(torch.from_numpy(part.astype(np.float32))[None, None], fill)[0, 0].numpy()
    return Volume(array, (pixel_mm, pixel_mm, z_mm))
