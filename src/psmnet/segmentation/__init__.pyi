from .checks import (
    require_contrast,
    wanted_values,
)
from .cleanup import (
    parts,
)
from .inference import (
    BATCH,
    encode_slices,
    mask_tensor,
    match_slices,
    slice_tensor,
    smoothed_across,
)
from .modality import (
    is_ct,
    windowed,
)
from .registration import (
    Registration,
)
from .result import (
    Segmentation,
)
from .scan_encoder import (
    PRECISIONS,
    ScanEncoder,
)
from .segmenter import (
    Segmenter,
)
from .suggestion import (
    Suggestion,
    agreements,
    choose,
    places_of,
    suggest,
)
from .supports import (
    Labelled,
    Supports,
    agreed_on,
    read_labelled,
    read_supports,
)

__all__ = [
    "BATCH",
    "PRECISIONS",
    "Labelled",
    "Registration",
    "ScanEncoder",
    "Segmentation",
    "Segmenter",
    "Suggestion",
    "Supports",
    "agreed_on",
    "agreements",
    "choose",
    "encode_slices",
    "is_ct",
    "mask_tensor",
    "match_slices",
    "parts",
    "places_of",
    "read_labelled",
    "read_supports",
    "require_contrast",
    "slice_tensor",
    "smoothed_across",
    "suggest",
    "wanted_values",
    "windowed",
]
