from .patient import (
    draw_patient,
    write_patients,
)

__all__ = [
    "draw_patient",
    "write_patients",
]
