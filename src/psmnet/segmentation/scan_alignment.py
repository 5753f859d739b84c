"""Aligns two scans by mutual information: an affine transform, then free-form deformations.

An affine transform maximises mutual information [Mattes et al., IEEE TMI 22 (2003) 120], from several starts; free-form
deformations [B-splines; Rueckert et al., IEEE TMI 18 (1999) 712] refine it from coarse to fine. All steps work in
physical space, so that spacings and orientations may differ.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from psmnet.segmentation.modality import windowed
from psmnet.volume import Array, Volume, as_image, body_mask, covering, resample_image, simpleitk

# All [ours], chosen on CHAOS fold 0. Lengths shrink in proportion for scans with a longest side below USUAL_MM.
USUAL_MM = 300.0
COARSE_MM, FINE_MM = 8.0, 4.0  # voxel sizes of the two resolutions; an axis with larger voxels keeps them
CLIPPED = (1.0, 99.0)  # percentiles of the body's intensities
NEIGHBOURHOOD_MM = 25.0  # intensities are standardised by local mean and deviation: MR coils are not homogeneous
SHIFT_MM, REACH_MM = 20.0, 40.0  # step and range of the starts along the slice axis
STARTS = 3  # number of starts that are optimised
AFFINE_BINS, SPLINE_BINS = 32, 16  # of the joint histogram; a spline's cost grows with them
AFFINE_POINTS, SPLINE_POINTS = (
    20_000,
    10_000,
)  # compared points of the body; a fixed number keeps the time constant
AFFINE_STEPS, SPLINE_STEPS = 100, 20
CONTROL_MM = (100.0, 60.0, 40.0)  # between control points, coarse to fine
FOLDLESS = 0.4  # of that distance: cubic B-splines with smaller displacements can't fold [Choi and Lee 2000]
SEED = 1


@dataclass(frozen=True)
class ScanLevel:
    """A scan at one resolution as SimpleITK images: intensities, and 1 in the body."""

    image: Any
    body: Any

    def centres_mm(self) -> list[npt.NDArray[np.float64]]:
        """Centres of the grid and of the body, (x, y, z)."""
        body = simpleitk().GetArrayViewFromImage(self.body)
        indices = (np.array(body.shape) - 1) / 2, np.array(ndimage.center_of_mass(body))
        return [np.array(self.body.TransformContinuousIndexToPhysicalPoint(zyx[::-1].tolist())) for zyx in indices]


Levels = tuple[ScanLevel, ScanLevel]  # coarse and fine


def scale_of(scan: Volume) -> float:
    """Factor, at most 1, of all lengths: of a small scan, as of a hippocampus, only details are there to compare."""
    longest_mm = max(n * mm for n, mm in zip(scan.size_xyz, scan.spacing_mm, strict=True))
    return min(1.0, longest_mm / USUAL_MM)


def levels_of(scan: Volume, scale: float) -> Levels:
    """Prepare a scan (slices first): find the body, standardise and resample; `scale` as in `scale_of`."""
    body = body_mask(scan.array_zyx, None, scan.spacing_mm)
    if not body.any():
        body = np.ones_like(body)
    array = windowed(scan.array_zyx).astype(np.float32)
    low, high = np.percentile(array[body], CLIPPED)
    array = np.where(body, np.clip(array, low, high) - low, 0) / max(high - low, 1e-6)
    seen, inside = (_coarsened(scan.with_array(part), scale * FINE_MM) for part in (array, body))
    seen = _standardised(seen, inside.array_zyx > 0.5, scale * NEIGHBOURHOOD_MM)
    levels = []
    for mm in (scale * COARSE_MM, scale * FINE_MM):
        share = _coarsened(inside, mm)
        solid = share.array_zyx > min(0.5, float(share.array_zyx.max()) / 2)
        levels.append(ScanLevel(as_image(_coarsened(seen, mm)), as_image(share.with_array(solid.astype(np.uint8)))))
    return levels[0], levels[1]


def _coarsened(volume: Volume, mm: float) -> Volume:
    """Smooth and resample to voxels of at least `mm` along each axis, float32."""
    spacing = [max(step, mm) for step in volume.spacing_mm]
    sigma = [np.sqrt(new**2 - old**2) / 2 / old for new, old in zip(spacing, volume.spacing_mm, strict=True)]
    smooth = volume.with_array(ndimage.gaussian_filter(volume.array_zyx.astype(np.float32), sigma[::-1]))
    return resample_image(smooth, covering(smooth, (spacing[0], spacing[1], spacing[2])))


def _standardised(scan: Volume, body: npt.NDArray[np.bool_], nearby_mm: float) -> Volume:
    """Subtract the body's local mean and divide by its local standard deviation; 0 outside the body."""
    sigma = [nearby_mm / step for step in reversed(scan.spacing_mm)]

    def nearby(array: Array) -> Array:
        blurred: Array = ndimage.gaussian_filter(array, sigma, truncate=2.5)
        return blurred

    inside = body.astype(np.float32)
    weight = nearby(inside) + 1e-3
    mean = nearby(scan.array_zyx * inside) / weight
    variance = nearby(np.square(scan.array_zyx) * inside) / weight - np.square(mean)
    standard = (scan.array_zyx - mean) / (np.sqrt(np.maximum(variance, 0)) + 0.02)
    return scan.with_array((np.clip(standard, -3, 3) * inside).astype(np.float32))


def align(query: Levels, support: Levels, spline: bool, scale: float) -> Any:
    """The transform from the query's space to the support's; `scale` is that of both scans' levels.

    Raises:
        RuntimeError: SimpleITK can't compare the two anywhere.
    """
    affine = _affine(query, support, scale)
    if not spline:
        return affine
    pair = query[1], support[1]
    return min((affine, _bend(*pair, affine, scale)), key=lambda found: _value(*pair, found))


def _affine(query: Levels, support: Levels, scale: float) -> Any:
    """Optimise the best starts at the coarse resolution, and the best result again at the fine one."""
    coarse, fine = zip(query, support, strict=True)
    starts = sorted(_starts(*coarse, scale), key=lambda start: _value(*coarse, start))[:STARTS]
    if np.isinf(_value(*coarse, starts[0])):
        raise RuntimeError("too little overlaps")
    best = min(
        (_fitted(*coarse, start, scale * COARSE_MM) for start in starts), key=lambda found: _value(*coarse, found)
    )
    return min((best, _fitted(*fine, best, scale * FINE_MM)), key=lambda found: _value(*fine, found))


def _starts(query: ScanLevel, support: ScanLevel, scale: float) -> list[Any]:
    """Translations that align the centres of grids or bodies, with shifts along the slice axis; and no translation."""
    along = np.array(query.body.GetDirection()).reshape(3, 3)[:, 2]
    lengths_mm = [level.body.GetSize()[2] * level.body.GetSpacing()[2] for level in (query, support)]
    shift_mm = scale * SHIFT_MM
    steps = int(max(scale * REACH_MM, abs(lengths_mm[0] - lengths_mm[1]) / 2) / shift_mm)
    offsets = [
        there - here + step * shift_mm * along
        for here, there in zip(query.centres_mm(), support.centres_mm(), strict=True)
        for step in range(-steps, steps + 1)
    ]
    starts = []
    for offset in (*offsets, np.zeros(3)):  # no translation: scans of one session
        start = simpleitk().AffineTransform(3)
        start.SetCenter(query.centres_mm()[1].tolist())
        start.SetTranslation(offset.tolist())
        starts.append(start)
    return starts


def _fitted(query: ScanLevel, support: ScanLevel, start: Any, step_mm: float) -> Any:
    """An affine transform optimised from a start; the start itself where SimpleITK fails."""
    sitk = simpleitk()
    method = _method(query.body, AFFINE_BINS, AFFINE_POINTS)
    affine = sitk.AffineTransform(start)
    method.SetInitialTransform(affine, inPlace=True)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetOptimizerAsRegularStepGradientDescent(
        step_mm, step_mm / 100, AFFINE_STEPS, gradientMagnitudeTolerance=1e-8
    )
    try:
        method.Execute(query.image, support.image)
    except RuntimeError:
        return start
    return affine


def _bend(query: ScanLevel, support: ScanLevel, affine: Any, scale: float) -> Any:
    """Add free-form deformations to an affine transform, until SimpleITK fails.

    Each is fitted to the support as warped so far, in the box around the part of the query's body that it covers.
    """
    sitk = simpleitk()
    splines: list[Any] = []
    for control_mm in (scale * length for length in CONTROL_MM):
        transform = sitk.CompositeTransform([affine, *splines])
        warped = sitk.Resample(support.image, query.image, transform, sitk.sitkLinear, 0.0)
        reached = _reached(query, support, transform)
        box = ndimage.find_objects(sitk.GetArrayViewFromImage(reached))[0]
        body = query.image[tuple(reversed(box))]
        method = _method(reached, SPLINE_BINS, SPLINE_POINTS)
        mesh = [max(1, round(n * step / control_mm)) for n, step in zip(body.GetSize(), body.GetSpacing(), strict=True)]
        most_mm = FOLDLESS * control_mm
        try:
            spline = sitk.BSplineTransformInitializer(body, mesh)
            method.SetInitialTransform(spline, inPlace=True)
            method.SetOptimizerAsLBFGSB(
                1e-8,
                numberOfIterations=SPLINE_STEPS,
                maximumNumberOfFunctionEvaluations=3 * SPLINE_STEPS // 2,
                lowerBound=-most_mm,
                upperBound=most_mm,
            )
            method.Execute(query.image, warped)
        except RuntimeError:
            break
        splines.append(spline)
    if not splines:
        return affine
    # As a displacement field at the fine resolution: on a large scan, evaluating splines would take most of the time.
    sampler = sitk.TransformToDisplacementFieldFilter()
    sampler.SetReferenceImage(query.image)
    field = sampler.Execute(sitk.CompositeTransform(splines))
    return sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])


def _method(body: Any, bins: int, points: int | None) -> Any:
    """Mutual information at a number of points of the query's body, drawn with a fixed seed; None for all points.

    With one work unit: several threads would add in the order in which they finish, and runs would differ.
    """
    sitk = simpleitk()
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(bins)
    share = 1.0 if points is None else points / int(sitk.GetArrayViewFromImage(body).sum())
    if share < 1:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, SEED)
    method.SetMetricFixedMask(body)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetNumberOfWorkUnits(1)
    return method


def _value(query: ScanLevel, support: ScanLevel, transform: Any) -> float:
    """The cost at all points of the query's body; infinite where the two can't be compared.

    The fewer points overlap, the more mutual information there is by chance; this bias is subtracted [Roulston,
    Physica D 125 (1999) 285].
    """
    sitk = simpleitk()
    method = _method(query.body, AFFINE_BINS, None)
    method.SetMovingInitialTransform(transform)
    method.SetInitialTransform(sitk.TranslationTransform(3))  # SimpleITK requires one; it stays 0
    try:
        value = float(method.MetricEvaluate(query.image, support.image))
    except RuntimeError:
        return np.inf
    # A copy, not a view: the image is freed after this line.
    overlapping = int(sitk.GetArrayFromImage(_reached(query, support, transform)).sum())
    value += (AFFINE_BINS - 1) ** 2 / (2 * max(1, overlapping))
    return value if np.isfinite(value) else np.inf


def _reached(query: ScanLevel, support: ScanLevel, transform: Any) -> Any:
    """1 in the part of the query's body that the support covers, as an image."""
    sitk = simpleitk()
    covered = sitk.Image(support.image.GetSize(), sitk.sitkUInt8) + 1
    covered.CopyInformation(support.image)
    return sitk.Resample(covered, query.body, transform, sitk.sitkNearestNeighbor, 0) * query.body
