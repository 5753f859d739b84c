"""A large CT (512 x 512 x 600, 4 organs): peak memory, and time against the bare encoder on the same slices.

    python benchmarks/large_ct.py --threads 1 --out runs/large_ct.json

The patients are drawn, in Hounsfield units. Times are from arrays in memory to the label array, the bare encoder's
from slices at its own size; both alternate. Reading and writing are timed apart. The peak is the process's resident
memory, with Python, torch and the scan itself.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from psmnet import Segmenter, Volume, draw_patient, read_volume, write_volume
from psmnet.runtime import machine, versions
from psmnet.system import write_json

SHAPE, SPACING_MM = (600, 512, 512), (0.78, 0.78, 1.0)
COARSE = 4  # the patient is drawn at a quarter of the resolution, which takes minutes else
ORGANS = (1, 2, 3, 4)
ROUNDS = 2


def patient(seed: int, shape: tuple[int, int, int]) -> tuple[Volume, Volume]:
    """A drawn patient as CT of this size, int16."""
    coarse = tuple(n // COARSE for n in shape)
    x, y, z = (mm * COARSE for mm in SPACING_MM)
    image, labels = draw_patient(seed, shape_zyx=(coarse[0], coarse[1], coarse[2]), spacing_mm=(x, y, z))
    low, high = np.percentile(image.array_zyx, (1, 99))
    hounsfield = np.where(image.array_zyx <= low, -1000, (image.array_zyx - low) / (high - low) * 400 - 125)
    fine = _enlarged(hounsfield.astype(np.int16))
    rng = np.random.default_rng(seed)
    for one in fine:  # slice by slice: noise of the whole scan would be its largest array
        one += rng.normal(0, 15, one.shape).astype(np.int16)
    return Volume(fine, SPACING_MM), Volume(_enlarged(labels.array_zyx), SPACING_MM)


def _enlarged(array: np.ndarray) -> np.ndarray:
    for axis in range(3):
        array = np.repeat(array, COARSE, axis)
    return array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    segmenter = Segmenter.from_checkpoint(options.weights)
    segmenter.set_support([patient(1, (256, 512, 512))], ORGANS)
    query, truth = patient(2, SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        began = time.perf_counter()
        write_volume(query, path)
        written_s = time.perf_counter() - began
        began = time.perf_counter()
        query = read_volume(path)
        read_s = time.perf_counter() - began
    drawn_bytes = _peak_bytes()
    whole, bare = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = segmenter.segment(query)
        whole.append(time.perf_counter() - began)
        print(f"whole {whole[-1]:.1f} s, peak {_peak_bytes() / 1e9:.2f} GB", flush=True)
        bare.append(_bare_s(segmenter, len(query.array_zyx)))
        print(f"bare encoder {bare[-1]:.1f} s", flush=True)
    dice = {}
    for value in ORGANS:
        one, other = found.array_zyx == value, truth.array_zyx == value
        dice[str(value)] = round(float(2 * (one & other).sum() / (one.sum() + other.sum())), 3)
    ratio = min(whole) / min(bare)
    print(f"ratio {ratio:.2f}, read {read_s:.1f} s, write {written_s:.1f} s, Dice {dice}")
    write_json(
        options.out,
        {
            "shape_zyx": SHAPE,
            "organs": len(ORGANS),
            "whole_s": [round(s, 2) for s in whole],
            "bare_encoder_s": [round(s, 2) for s in bare],
            "ratio": round(ratio, 3),
            "read_s": round(read_s, 2),
            "write_s": round(written_s, 2),
            "peak_bytes": _peak_bytes(),
            "peak_bytes_before": drawn_bytes,
            "dice": dice,
            "versions": versions(),
            "machine": machine(),
        },
    )


@torch.no_grad()
def _bare_s(segmenter: Segmenter, slices: int) -> float:
    size, batch = segmenter.weights.config.input_size, 16
    images = torch.randn(batch, 1, size, size)
    began = time.perf_counter()
    for start in range(0, slices, batch):
        segmenter.model.encode(images[: slices - start])
    return time.perf_counter() - began


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
