"""Pseudo-labels: regions that training uses as targets in place of organs, made without manual labels."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from skimage.segmentation import felzenszwalb

from psmnet.catalog import DataSet
from psmnet.data.pseudolabels.supervoxels import supervoxel_volume
from psmnet.errors import ConfigError
from psmnet.volume import Array, Volume, body_mask

Kind = Literal["superpixels", "supervoxels"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SCALE, MIN_SIZE_PX, SIGMA_PX = 1, 400, 1  # Ouyang et al., TMI 2022, for 256 x 256 slices
REFERENCE_PX = 256
SUPERVOXEL_MM3 = 60_000  # the published 5000 voxels of an abdomen, in the spacing of CHAOS


@dataclass(frozen=True)
class PseudolabelRule:
    """How the pseudo-labels of a data set are made.

    Attributes:
        kind: superpixels (2D; ids start again in every slice) or supervoxels (3D; an id is one region in all slices).
        body_threshold: threshold of the body mask; None for intensities of unknown scale.
        min_voxels: smallest supervoxel; None for as many as fill 60 ml.
        faulty_ids: reproduce the known bug `superpixel-ids` of the catalog.
    """

    kind: Kind = "superpixels"
    body_threshold: float | None = None
    min_voxels: int | None = None
    faulty_ids: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"no pseudo-labels {self.kind!r}", f"give one of {', '.join(KINDS)}")
        if self.faulty_ids and self.kind != "superpixels":
            raise ConfigError(
                f"the known bug superpixel-ids with {self.kind}", "leave it out: only superpixels have it"
            )

    @staticmethod
    def of(facts: DataSet, kind: Kind = "superpixels", *, faulty_ids: bool = False) -> "PseudolabelRule":
        """The rule with the catalog's constants for a data set."""
        return PseudolabelRule(kind, facts.body_threshold, facts.supervoxel_voxels, faulty_ids)

    def parameters(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values."""
        if self.kind == "supervoxels":
            size = {"min_size_mm3": SUPERVOXEL_MM3} if self.min_voxels is None else {"min_size": self.min_voxels}
            return {"algorithm": "felzenszwalb-3d", "scale": 1, "body_threshold": self.body_threshold} | size
        return {
            "algorithm": "felzenszwalb",
            "scale": SCALE,
            "min_size_px": MIN_SIZE_PX,
            "sigma_px": SIGMA_PX,
            "body_threshold": self.body_threshold,
            "faulty_ids": self.faulty_ids,
        }

    def make(self, image: Volume) -> npt.NDArray[np.int32]:
        """Ids (Z, Y, X) of a scan of the normalised layout; 0 outside the body."""
        array = image.array_zyx
        body = body_mask(array, self.body_threshold, image.spacing_mm)
        if self.kind == "supervoxels":
            voxels = self.min_voxels or max(1, round(SUPERVOXEL_MM3 / float(np.prod(image.spacing_mm))))
            return supervoxel_volume(array, body, voxels)
        # Felzenszwalb's result depends on the scale of the intensities, so an unknown one is brought to a known one.
        return superpixel_volume(
            array if self.body_threshold is not None else to_thousand(array), body, faulty_ids=self.faulty_ids
        )


def superpixel_volume(
    array_zyx: Array, body: npt.NDArray[np.bool_], *, faulty_ids: bool = False
) -> npt.NDArray[np.int32]:
    """Felzenszwalb superpixels of each slice; ids start again at 1 in every slice.

    Args:
        array_zyx: (Z, Y, X), stored normalised intensities (not z-scored: the result depends on the scale).
        body: (Z, Y, X) bool, where the body is.
        faulty_ids: number them with the known bug `superpixel-ids`.

    Returns:
        (Z, Y, X) int32: 0 outside the body, ids 1..K inside, contiguous, none empty. The smallest superpixel, before
        the body mask cuts, is the published 400 pixels of a 256 x 256 slice, in proportion on other sizes.

    Reference:
        Felzenszwalb and Huttenlocher, IJCV 59 (2004); parameters of Ouyang et al., IEEE TMI 41 (2022).
    """
    min_size = max(1, round(MIN_SIZE_PX * array_zyx[0].size / REFERENCE_PX**2))
    slices = []
    for slice_yx, body_yx in zip(array_zyx, body, strict=True):
        raw = felzenszwalb(slice_yx.astype(np.float64), scale=SCALE, sigma=SIGMA_PX, min_size=min_size)
        slices.append(faulty_renumber(raw, body_yx) if faulty_ids else renumber(np.where(body_yx, raw + 1, 0)))
    return np.stack(slices)


def renumber(ids: Array) -> npt.NDArray[np.int32]:
    """Make positive ids contiguous from 1, in the order of their values; 0 stays."""
    present, inverse = np.unique(ids, return_inverse=True)
    first = 0 if present[0] == 0 else 1
    return (inverse.reshape(ids.shape) + first).astype(np.int32)


def faulty_renumber(raw_yx: Array, body_yx: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The numbering of published notebooks, with their bug: of raw ids 0..K, 0 is lost and K becomes K + 1.

    Args:
        raw_yx: Felzenszwalb's ids 0..K.
        body_yx: where the body is.

    Returns:
        ids 1..K - 1 and K + 1; K is empty, and training never draws the last.
    """
    last = int(raw_yx.max())
    return np.where(body_yx, np.where(raw_yx == last, last + (last > 0), raw_yx), 0).astype(np.int32)


def to_thousand(array_zyx: Array) -> Array:
    """Intensities of unknown scale brought to 0..1000, 0.5th to 99.5th percentile."""
    low, high = np.percentile(array_zyx, (0.5, 99.5))
    scaled: Array = (np.clip(array_zyx, low, high) - low) * (1000 / max(high - low, 1e-6))
    return scaled
