from .build import (
    Method,
    build_model,
    changed,
    differences,
    method_settings,
    model_record,
    parse_changes,
    settings_of,
)
from .losses import (
    segmentation_loss,
)
from .old_names import (
    current_names,
    current_texts,
)
from .pooling import (
    masked_average,
    masks_at_features,
)
from .pretrained import (
    load_torchvision,
)
from .registry import (
    METHODS,
    MethodSpec,
)
from .resize import (
    resize_images,
)
from .scoring import (
    image_logits,
)
from .settings import (
    MethodSettings,
    SliceSettings,
)
from .student import (
    Student,
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
    LEARNED,
    WEIGHTS_NAME,
    TrainingRecord,
    Weights,
    find_weights,
    is_learned,
    load_tensors,
    load_weights,
    save_tensors,
    save_weights,
)

__all__ = [
    "LEARNED",
    "METHODS",
    "WEIGHTS_NAME",
    "Episode",
    "Features",
    "Method",
    "MethodSettings",
    "MethodSpec",
    "Prediction",
    "Prototypes",
    "SliceSettings",
    "Student",
    "Support",
    "TrainingRecord",
    "Weights",
    "build_model",
    "changed",
    "concatenate",
    "current_names",
    "current_texts",
    "differences",
    "find_weights",
    "image_logits",
    "is_learned",
    "load_tensors",
    "load_torchvision",
    "load_weights",
    "masked_average",
    "masks_at_features",
    "method_settings",
    "model_record",
    "parse_changes",
    "resize_images",
    "save_tensors",
    "save_weights",
    "segmentation_loss",
    "settings_of",
]
