from .learned_onnx import (
    ONNX_NAME,
    export_onnx,
)
from .masks_nnunet import (
    export_masks,
    is_masks_folder,
)
from .nnunet import (
    export_nnunet,
)

__all__ = [
    "ONNX_NAME",
    "export_masks",
    "export_nnunet",
    "export_onnx",
    "is_masks_folder",
]
