from .dataset_file import (
    DATASET_NAME,
    DatasetFile,
    IntensityRange,
    PreparedCase,
    read_dataset_file,
)
from .splits import (
    Split,
    allowed_slices,
    excluded_classes,
    novel_classes,
    split_cases,
    split_data,
    tested_organs,
)
from .store import (
    Case,
    case_order,
    choose,
    find_cases,
    without_257th,
)

__all__ = [
    "DATASET_NAME",
    "Case",
    "DatasetFile",
    "IntensityRange",
    "PreparedCase",
    "Split",
    "allowed_slices",
    "case_order",
    "choose",
    "excluded_classes",
    "find_cases",
    "novel_classes",
    "read_dataset_file",
    "split_cases",
    "split_data",
    "tested_organs",
    "without_257th",
]
