from .dataset_file import (
    DATASET_NAME,
    DatasetFile,
    read_dataset_file,
)
from .store import (
    Case,
    case_order,
    choose,
    find_cases,
    unlabelled,
    without_257th,
)

__all__ = [
    "DATASET_NAME",
    "Case",
    "DatasetFile",
    "case_order",
    "choose",
    "find_cases",
    "read_dataset_file",
    "unlabelled",
    "without_257th",
]
