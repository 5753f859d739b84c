from .body import (
    body_mask,
)
from .components import (
    part_sizes,
    parts,
)
from .content import (
    content_digest,
)
from .ends import (
    values_at_ends,
)
from .geometry import (
    Reorientation,
    align_labels,
    align_query,
    axis_letters,
    center_crop_pad_volume,
    reorient,
    signed_permutation,
    slice_first,
)
from .nifti_forms import (
    NiftiForms,
)
from .normalisation import (
    CLIPPED,
    Normalisation,
    histogram,
)
from .pixel_grid import (
    PixelGrid,
)
from .resample import (
    covering,
    covering_with_extra_slice,
    lattice,
    resample_image,
    resample_labels,
    resample_labels_with_holes,
)
from .shape import (
    measure,
)
from .sitk import (
    as_image,
    simpleitk,
    volume_of,
)
from .volume import (
    Array,
    Mask,
    Volume,
)

__all__ = [
    "CLIPPED",
    "Array",
    "Mask",
    "NiftiForms",
    "Normalisation",
    "PixelGrid",
    "Reorientation",
    "Volume",
    "align_labels",
    "align_query",
    "as_image",
    "axis_letters",
    "body_mask",
    "center_crop_pad_volume",
    "content_digest",
    "covering",
    "covering_with_extra_slice",
    "histogram",
    "lattice",
    "measure",
    "part_sizes",
    "parts",
    "reorient",
    "resample_image",
    "resample_labels",
    "resample_labels_with_holes",
    "signed_permutation",
    "simpleitk",
    "slice_first",
    "values_at_ends",
    "volume_of",
]
