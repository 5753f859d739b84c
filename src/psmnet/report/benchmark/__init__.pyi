from .report import (
    PAGE,
    write_benchmark,
)
from .words import (
    gaps,
    label,
    title,
)

__all__ = [
    "PAGE",
    "gaps",
    "label",
    "title",
    "write_benchmark",
]
