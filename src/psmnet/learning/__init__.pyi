from .adaptation import (
    STEPS,
    adapt,
    adaptation_spec,
)

__all__ = [
    "STEPS",
    "adapt",
    "adaptation_spec",
]
