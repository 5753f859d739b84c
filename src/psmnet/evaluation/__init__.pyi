from .evaluator import (
    evaluate,
)
from .metrics import (
    Scores,
    score,
)
from .predictors import (
    WholeScan,
    load_method,
    method_name,
    segmenter_of,
)
from .protocols import (
    excluded_classes,
    split_cases,
)
from .results_reader import (
    ResultsFile,
    Training,
    find_results,
)
from .results_schema import (
    METRICS,
    mask_path,
    masks_folder,
)

__all__ = [
    "METRICS",
    "ResultsFile",
    "Scores",
    "Training",
    "WholeScan",
    "evaluate",
    "excluded_classes",
    "find_results",
    "load_method",
    "mask_path",
    "masks_folder",
    "method_name",
    "score",
    "segmenter_of",
    "split_cases",
]
