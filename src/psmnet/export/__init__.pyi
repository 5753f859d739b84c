from .learned_onnx import (
    ONNX_NAME,
    export_onnx,
)
from .nnunet import (
    export_nnunet,
)

__all__ = [
    "ONNX_NAME",
    "export_nnunet",
    "export_onnx",
]
