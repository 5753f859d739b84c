from .nnunet import (
    export_nnunet,
)
from .onnx import (
    ENCODER_NAME,
    MATCHING_NAME,
    export_onnx,
)

__all__ = [
    "ENCODER_NAME",
    "MATCHING_NAME",
    "export_nnunet",
    "export_onnx",
]
