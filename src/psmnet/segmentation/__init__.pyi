from .checks import (
    require_contrast,
    wanted_values,
)
from .decision import (
    decided_from,
)
from .inference import (
    BATCH,
    encode_slices,
    mask_tensor,
    match_slices,
    slice_tensor,
    smoothed_across,
)
from .learned_segmenter import (
    LearnedSegmenter,
    learned_values,
    predictions,
    scan_facts,
)
from .learned_weights import (
    LearnedWeights,
    TaughtBy,
    load_learned,
    save_learned,
)
from .likeness import (
    Likeness,
    ScanFacts,
)
from .methods import (
    ComparingMethod,
    UntrainedMethod,
    load_comparing,
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
    LEVELS,
    Segmentation,
)
from .scan_encoder import (
    PRECISIONS,
    ScanEncoder,
)
from .segmenter import (
    Segmenter,
)
from .student_view import (
    StudentView,
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
from .weights_facts import (
    describe_weights,
)
from .whole_scan import (
    WholeScanSegmenter,
    WholeScanSettings,
)

__all__ = [
    "BATCH",
    "LEVELS",
    "PRECISIONS",
    "ComparingMethod",
    "Labelled",
    "LearnedSegmenter",
    "LearnedWeights",
    "Likeness",
    "Registration",
    "RegistrationSettings",
    "ScanEncoder",
    "ScanFacts",
    "Segmentation",
    "Segmenter",
    "StudentView",
    "Suggestion",
    "Supports",
    "TaughtBy",
    "UntrainedMethod",
    "WholeScanSegmenter",
    "WholeScanSettings",
    "agreed_on",
    "agreements",
    "body_points",
    "choose_scans",
    "decided_from",
    "describe_weights",
    "encode_slices",
    "is_ct",
    "learned_values",
    "load_comparing",
    "load_learned",
    "load_method",
    "mask_tensor",
    "match_slices",
    "method_name",
    "predictions",
    "read_labelled",
    "read_supports",
    "require_contrast",
    "save_learned",
    "scan_facts",
    "segmenter_of",
    "slice_tensor",
    "smoothed_across",
    "suggest",
    "wanted_values",
    "windowed",
]
