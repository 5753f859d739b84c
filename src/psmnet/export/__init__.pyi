from .nnunet import (
    export_nnunet,
)

__all__ = [
    "export_nnunet",
]
