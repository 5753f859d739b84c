from .rule import (
    KINDS,
    Kind,
    PseudolabelRule,
)
from .store import (
    PseudolabelStore,
)

__all__ = [
    "KINDS",
    "Kind",
    "PseudolabelRule",
    "PseudolabelStore",
]
