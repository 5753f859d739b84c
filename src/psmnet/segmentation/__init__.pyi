from .checks import (
    require_contrast,
    wanted_values,
)
from .inference import (
    BATCH,
    encode_slices,
    mask_tensor,
    match_slices,
    slice_tensor,
    smoothed_across,
)
from .methods import (
    UntrainedMethod,
    load_method,
    method_name,
    segmenter_of,
)
from .modality import (
    is_ct,
    windowed,
)
from .registration import (
    Registration,
    RegistrationSettings,
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
    body_points,
    choose_scans,
    suggest,
)
from .supports import (
    Labelled,
    Supports,
    agreed_on,
    read_labelled,
    read_supports,
)
from .whole_scan import (
    WholeScanSegmenter,
    WholeScanSettings,
)

__all__ = [
    "BATCH",
    "PRECISIONS",
    "Labelled",
    "Registration",
    "RegistrationSettings",
    "ScanEncoder",
    "Segmentation",
    "Segmenter",
    "Suggestion",
    "Supports",
    "UntrainedMethod",
    "WholeScanSegmenter",
    "WholeScanSettings",
    "agreed_on",
    "agreements",
    "body_points",
    "choose_scans",
    "encode_slices",
    "is_ct",
    "load_method",
    "mask_tensor",
    "match_slices",
    "method_name",
    "read_labelled",
    "read_supports",
    "require_contrast",
    "segmenter_of",
    "slice_tensor",
    "smoothed_across",
    "suggest",
    "wanted_values",
    "windowed",
]
