from .evaluator import (
    evaluate,
)
from .metrics import (
    Scores,
    score,
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
    "evaluate",
    "find_results",
    "mask_path",
    "masks_folder",
    "score",
]
