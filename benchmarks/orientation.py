"""Whether a scan's orientation matters: 48 ways to store it, and oblique resamplings of it.

    python benchmarks/orientation.py DATA --support 8 --query 1 --out runs/orientation.json

Stored otherwise, a query must get the same voxels. Acquired at an angle (about the slice axis of the labelled scan and
about random axes) it shows other slices: its mask is brought back to the query's own grid and compared with the mask
that the query itself gets, and with the reference.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from psmnet import Segmenter, Volume, find_cases, score
from psmnet.catalog import dataset
from psmnet.data import choose
from psmnet.runtime import machine, versions
from psmnet.system import write_json
from psmnet.volume import Array, Reorientation, as_image

SMALL_DEG, ALL_DEG = 15.0, (20.0, 25.0, 30.0, 35.0, 40.0, 45.0)
SMALL = 10
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--dataset", default="chaos-t2")
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--support", required=True, help="case id")
    parser.add_argument("--query", required=True, help="case id")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    facts = dataset(options.dataset)
    support, query = choose(find_cases(options.data), [options.support, options.query])
    organs = {name: facts.labels[name] for name in facts.tested}
    segmenter = Segmenter.from_checkpoint(options.weights)
    segmenter.set_support([(support.image(), support.labels())], list(organs.values()))
    image, reference = query.image(), query.labels().array_zyx
    straight = segmenter.segment(image).array_zyx

    differing = {}
    for axes, flips in itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)):
        turn = Reorientation(axes, flips)  # type: ignore[arg-type]
        found = turn.undo(segmenter.segment(turn.apply(image)).array_zyx)
        differing[f"{axes} {flips}"] = int((found != straight).sum())
    print(f"{len(differing)} orientations, voxels that differ: {max(differing.values())}", flush=True)

    rng = np.random.default_rng(SEED)
    rotations = []
    for degrees in [*rng.uniform(0, SMALL_DEG, SMALL), *ALL_DEG]:
        axis = rng.normal(size=3)
        rotations.append(_rotated(segmenter, image, reference, straight, organs, float(degrees), axis))
        print(rotations[-1], flush=True)
    small = [one["dice_with_straight"] for one in rotations[:SMALL]]
    print(f"up to {SMALL_DEG:g} degrees: mean {np.mean(small):.4f}, least {min(small):.4f}")
    write_json(
        options.out,
        {
            "support": support.id,
            "query": query.id,
            "weights_sha256": segmenter.weights.sha256,
            "orientations": differing,
            "rotations": rotations,
            "mean_up_to_15_degrees": float(np.mean(small)),
            "versions": versions(),
            "machine": machine(),
        },
    )


def _rotated(
    segmenter: Segmenter,
    image: Volume,
    reference: Array,
    straight: Array,
    organs: dict[str, int],
    degrees: float,
    axis: Array,
) -> dict[str, Any]:
    """Resample a query onto a grid turned about its middle, of the same spacing, that covers it."""
    unit = axis / np.linalg.norm(axis)
    turn = sitk.VersorTransform(unit.tolist(), float(np.radians(degrees)))
    matrix = np.array(turn.GetMatrix()).reshape(3, 3) @ image.direction
    extent = np.array(image.size_xyz) * image.spacing_mm
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * extent
    reach = np.abs(corners @ image.direction.T @ matrix).max(axis=0)
    size = [int(np.ceil(2 * r / s)) for r, s in zip(reach, image.spacing_mm, strict=True)]
    size = [n + (n - old) % 2 for n, old in zip(size, image.size_xyz, strict=True)]  # not half a voxel beside it
    middle = np.array(image.origin_mm) + image.direction @ ((np.array(image.size_xyz) - 1) / 2 * image.spacing_mm)
    origin = middle - matrix @ ((np.array(size) - 1) / 2 * np.array(image.spacing_mm))
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(image.spacing_mm)
    grid.SetOrigin(origin.tolist())
    grid.SetDirection(matrix.ravel().tolist())
    stored = as_image(image.with_array(image.array_zyx.astype(np.float32)))
    low = float(image.array_zyx.min())
    seen = sitk.Resample(stored, grid, sitk.Transform(), sitk.sitkLinear, low)
    x, y, z = seen.GetOrigin()
    found = segmenter.segment(Volume(sitk.GetArrayFromImage(seen), image.spacing_mm, (x, y, z), matrix))
    mask = as_image(found)
    back = sitk.GetArrayFromImage(sitk.Resample(mask, stored, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    # What two interpolations alone cost: the query's own mask there and back.
    carried = sitk.Resample(as_image(image.with_array(straight)), grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    carried = sitk.GetArrayFromImage(sitk.Resample(carried, stored, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    compared = {"dice_with_straight": straight, "dice": reference}
    return {
        "degrees": round(degrees, 1),
        "axis": [round(float(a), 3) for a in unit],
        **{name: round(_mean_dice(back, other, organs, image.spacing_mm), 4) for name, other in compared.items()},
        "resampling_alone": round(_mean_dice(carried, straight, organs, image.spacing_mm), 4),
    }


def _mean_dice(one: Array, other: Array, organs: dict[str, int], spacing_mm: tuple[float, float, float]) -> float:
    found = [score(one == value, other == value, spacing_mm).dice for value in organs.values()]
    return float(np.mean([d for d in found if d is not None]))


if __name__ == "__main__":
    main()
