"""What identifies a scan however it was saved."""

import hashlib

import numpy as np
import numpy.typing as npt

from psmnet.volume.volume import Volume

# Of splitmix64 (Steele et al., OOPSLA 2014), which turns close numbers into ones that share nothing.
STEP, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def content_digest(volume: Volume) -> str:
    """SHA-256 of a scan's voxel values, to find copies of it.

    It is the same for the scan in another file format, compressed, in another number type that holds its values to
    float32's precision, with its axes stored in another order or direction, and whatever its header says of spacing
    and position. A scan with other voxels, cropped, resampled or rescaled has another one.

    Returns:
        64 hexadecimal digits.
    """
    # Each voxel's value becomes a random number. Their sums over the slices across each of the three axes (modulo
    # 2^64, so that the order of adding does not matter) tell scans apart, and are only reversed or swapped with axes.
    slices, rows, columns = volume.array_zyx.shape
    sums = [np.zeros(length, dtype=np.uint64) for length in (slices, rows, columns)]
    for z, part in enumerate(volume.array_zyx):  # one by one, since these numbers take more memory than the scan
        numbers = _mixed(part)
        sums[0][z] = numbers.sum(dtype=np.uint64)
        sums[1] += numbers.sum(axis=1, dtype=np.uint64)
        sums[2] += numbers.sum(axis=0, dtype=np.uint64)
    profiles = sorted(min(along.tobytes(), along[::-1].tobytes()) for along in (s.astype("<u8") for s in sums))
    return hashlib.sha256(b"".join(len(profile).to_bytes(8, "little") + profile for profile in profiles)).hexdigest()


def _mixed(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint64]:
    exact = values.astype(np.float32) + np.float32(0)  # -0 becomes 0
    exact[np.isnan(exact)] = np.nan  # of which there are many
    number = exact.view(np.uint32).astype(np.uint64) + STEP
    number = (number ^ (number >> np.uint64(30))) * FIRST
    number = (number ^ (number >> np.uint64(27))) * SECOND
    return number ^ (number >> np.uint64(31))
