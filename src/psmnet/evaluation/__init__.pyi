from .evaluator import (
    evaluate,
)
from .metrics import (
    METRICS,
    MaskPair,
    Metric,
    Scores,
    score,
)
from .results_reader import (
    ResultsFile,
    Training,
    find_results,
)
from .results_schema import (
    PLAN_NAME,
    mask_path,
    masks_folder,
)

__all__ = [
    "METRICS",
    "PLAN_NAME",
    "MaskPair",
    "Metric",
    "ResultsFile",
    "Scores",
    "Training",
    "evaluate",
    "find_results",
    "mask_path",
    "masks_folder",
    "score",
]
