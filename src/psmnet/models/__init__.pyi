from .alpnet import (
    ALPNet,
)
from .build import (
    Method,
    build_model,
    changed,
    model_record,
    parse_changes,
    settings_of,
)
from .losses import (
    segmentation_loss,
)
from .panet import (
    PANet,
)
from .pretrained import (
    load_torchvision,
)
from .prototypes import (
    match_prototypes,
)
from .psm_net import (
    PSMNet,
)
from .tensors import (
    Episode,
    Features,
    Prediction,
    Prototypes,
    Support,
    concatenate,
)
from .weights import (
    WEIGHTS_NAME,
    TrainingRecord,
    Weights,
    find_weights,
    load_tensors,
    load_weights,
    optimiser_tensors,
    restore_optimiser,
    save_tensors,
    save_weights,
)

__all__ = [
    "WEIGHTS_NAME",
    "ALPNet",
    "Episode",
    "Features",
    "Method",
    "PANet",
    "PSMNet",
    "Prediction",
    "Prototypes",
    "Support",
    "TrainingRecord",
    "Weights",
    "build_model",
    "changed",
    "concatenate",
    "find_weights",
    "load_tensors",
    "load_torchvision",
    "load_weights",
    "match_prototypes",
    "model_record",
    "optimiser_tensors",
    "parse_changes",
    "restore_optimiser",
    "save_tensors",
    "save_weights",
    "segmentation_loss",
    "settings_of",
]
