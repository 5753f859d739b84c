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
    find_results,
)
from .results_records import (
    Record,
    ResultsFile,
    Training,
)
from .results_schema import (
    PLAN_NAME,
    mask_path,
    masks_folder,
)
from .results_table import (
    table_text,
    write_table,
)

__all__ = [
    "METRICS",
    "PLAN_NAME",
    "MaskPair",
    "Metric",
    "Record",
    "ResultsFile",
    "Scores",
    "Training",
    "evaluate",
    "find_results",
    "mask_path",
    "masks_folder",
    "score",
    "table_text",
    "write_table",
]
