from .adaptation import (
    adapt,
    adaptation_spec,
)

__all__ = [
    "adapt",
    "adaptation_spec",
]
