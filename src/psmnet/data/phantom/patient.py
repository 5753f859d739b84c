"""Synthetic patients: an abdominal "MR" scan and its labels, for tests, examples and short trainings without data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from psmnet.catalog import DATASETS
from psmnet.data.phantom.anatomy import CONTENTS, STANDARD_SIZE_MM, TISSUES, Field, Grid, Labels, Tissue, draw_anatomy
from psmnet.errors import InputError
from psmnet.io import write_volume
from psmnet.volume import Volume

MIN_SLICES = 12
MIN_IN_PLANE = 64
MIN_ORGAN_SLICES = 3

# Tissue: (mean signal, its standard deviation among patients, strength of the texture), as in a T2-weighted scan
# without fat suppression: fat and fluid bright, muscle and liver dark, blood flowing through the slice black.
_SIGNAL: dict[Tissue, tuple[float, float, float]] = {
    Tissue.AIR: (0, 0, 0),
    Tissue.SKIN: (300, 30, 0),
    Tissue.SUBCUTANEOUS_FAT: (690, 40, 25),
    Tissue.MUSCLE: (150, 14, 18),
    Tissue.VISCERAL_FAT: (640, 40, 55),
    Tissue.RIB: (75, 10, 10),
    Tissue.MARROW: (340, 35, 22),
    Tissue.DISC: (200, 50, 15),
    Tissue.CORTICAL_BONE: (85, 12, 10),
    Tissue.CEREBROSPINAL_FLUID: (880, 40, 10),
    Tissue.CORD: (420, 30, 0),
    Tissue.LUNG: (30, 8, 10),
    Tissue.LIVER: (255, 18, 17),
    Tissue.LIVER_VESSEL: (400, 25, 10),
    Tissue.SPLEEN: (430, 28, 14),
    Tissue.KIDNEY_CORTEX: (430, 28, 15),
    Tissue.KIDNEY_MEDULLA: (520, 28, 15),
    Tissue.KIDNEY_SINUS: (720, 50, 40),
    Tissue.AORTA: (85, 18, 15),
    Tissue.VENA_CAVA: (140, 35, 15),
    Tissue.GALLBLADDER: (890, 50, 10),
    Tissue.PANCREAS: (350, 30, 35),
    Tissue.BLOOD: (230, 60, 30),
    Tissue.HOLLOW_ORGAN_WALL: (240, 25, 15),
}


def draw_patient(
    seed: int,
    *,
    shape_zyx: tuple[int, int, int] = (24, 128, 128),
    spacing_mm: tuple[float, float, float] = (2.5, 2.5, 8.0),
) -> tuple[Volume, Volume]:
    """Draw a synthetic abdominal scan with its label map.

    The abdomen fills the field of view, whatever its size: at 320 x 320 x 192 mm (the default) it has an adult's
    measures, in a smaller field it shrinks with it. A seed gives the same patient at any resolution, noise aside.

    Args:
        seed: the patient; any integer from 0 on.
        shape_zyx: slices, rows, columns; at least 12 slices of 64 x 64.
        spacing_mm: distance between voxels, (x, y, z).

    Returns:
        image: float32, about 0 to 1000, near 0 in air; identity direction (x to the patient's left, y to the back,
            z to the head), an origin of its own.
        labels: uint8, 0 or the organs of `catalog.DATASETS["phantom"].labels`, on the image's lattice. Each organ is
            in at least 3 slices.

    Raises:
        InputError: a negative seed, a shape too small, a spacing that isn't positive, or voxels so coarse in one
            direction that an organ falls between them.
    """
    if seed < 0:
        raise InputError(f"patient seed {seed} is negative", "give an integer from 0 on")
    if len(shape_zyx) != 3 or shape_zyx[0] < MIN_SLICES or min(shape_zyx[1:]) < MIN_IN_PLANE:
        raise InputError(
            f"shape {tuple(shape_zyx)} is too small for a patient",
            f"give (slices, rows, columns) of at least ({MIN_SLICES}, {MIN_IN_PLANE}, {MIN_IN_PLANE})",
        )
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError(f"spacing {tuple(spacing_mm)} mm is not positive", "give (x, y, z) in mm")

    random = np.random.default_rng(seed)
    origin_mm = tuple(float(value) for value in random.uniform(-200, 0, 3))
    grid = _standard_grid(shape_zyx, spacing_mm)
    tissue, labels = draw_anatomy(random, grid)
    for name, value in DATASETS["phantom"].labels.items():
        slices = int((labels == value).any(axis=(1, 2)).sum())
        if slices < MIN_ORGAN_SLICES:
            raise InputError(
                f"spacing {tuple(spacing_mm)} mm with shape {tuple(shape_zyx)} leaves {name} in {slices} slices",
                "give a field of view nearer to 320 x 320 x 192 mm",
            )
    image = _acquire(random, grid, tissue)
    lattice = Volume(image, spacing_mm, (origin_mm[0], origin_mm[1], origin_mm[2]))
    return lattice, lattice.with_array(labels)


def _standard_grid(shape_zyx: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """Place the voxels in the standard abdomen: one scale in the plane, so that bodies keep their form, one along z."""
    size_mm = np.multiply(shape_zyx[::-1], spacing_mm)
    ratio = size_mm / STANDARD_SIZE_MM
    in_plane = float(min(ratio[0], ratio[1]))
    scales = (in_plane, in_plane, float(ratio[2]))
    x, y, z = (
        ((np.arange(count) - (count - 1) / 2) * spacing / scale).astype(np.float32)
        for count, spacing, scale in zip(shape_zyx[::-1], spacing_mm, scales, strict=True)
    )
    half_x, half_y, half_z = (float(size / scale / 2) for size, scale in zip(size_mm, scales, strict=True))
    return Grid((x, y, z), (half_x, half_y, half_z))


def _acquire(random: np.random.Generator, grid: Grid, tissue: Labels) -> Field:
    """Turn tissues into a scan: signal and texture, blur in the plane, coil shading, and noise of a magnitude image."""
    mean, strength = np.zeros(TISSUES, np.float32), np.zeros(TISSUES, np.float32)
    for kind, (signal, spread, texture_strength) in _SIGNAL.items():
        # Cut at two standard deviations, so that a liver stays recognisably a liver.
        mean[kind] = signal + spread * np.clip(random.standard_normal(), -2, 2)
        strength[kind] = texture_strength * random.uniform(0.7, 1.3)
    # Gas, stool, food or fluid.
    mean[Tissue.FIRST_CONTENT :] = random.choice((40, 190, 280, 380, 520, 780), CONTENTS) + random.normal(
        0, 25, CONTENTS
    )
    strength[Tissue.FIRST_CONTENT :] = random.uniform(8, 45, CONTENTS)

    fine = grid.smooth_field(random, (4.5, 4.5, 10.0))
    coarse = grid.smooth_field(random, (13.0, 13.0, 16.0))
    scan = mean[tissue] + strength[tissue] * (0.8 * fine + 0.6 * coarse)
    blur_mm = random.uniform(1.2, 2.1)
    blur_rows, blur_columns = (blur_mm / float(axis[1] - axis[0]) for axis in (grid.axes_mm[1], grid.axes_mm[0]))
    scan = gaussian_filter(np.maximum(scan, 0), (0, blur_rows, blur_columns), truncate=3.0)

    shading = 0.11 * grid.smooth_field(random, (170.0, 170.0, 150.0))
    scan *= random.uniform(0.88, 1.12) * np.exp(np.clip(shading, -0.25, 0.25))
    noise = random.uniform(9, 18)
    real, imaginary = (noise * random.standard_normal(scan.shape, dtype=np.float32) for _ in range(2))
    magnitude: Field = np.hypot(scan + real, imaginary).astype(np.float32)
    return magnitude


def write_patients(
    folder: Path, count: int, seed: int, report: Callable[[int], None] | None = None
) -> list[tuple[Path, Path]]:
    """Write patients in the normalised layout: `image_<id>.nii.gz` and `label_<id>.nii.gz`, ids from 1.

    Args:
        folder: output folder.
        count: number of patients.
        seed: seed of the first patient; the others follow.
        report: called with the number of finished patients.

    Returns:
        paths of image and label map of each.
    """
    paths = []
    for number in range(count):
        image, labels = draw_patient(seed + number)
        pair = folder / f"image_{number + 1}.nii.gz", folder / f"label_{number + 1}.nii.gz"
        write_volume(image, pair[0])
        write_volume(labels, pair[1])
        paths.append(pair)
        if report is not None:
            report(number + 1)
    return paths
