"""Few-shot medical image segmentation: one labelled scan in, the same organs out in other scans.

What stands in `__all__` is the public API; names are imported when they are used, so that `import psmnet` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psmnet.data.check.dataset_check import Report, check_dataset
    from psmnet.data.phantom.patient import draw_patient
    from psmnet.data.prepare.dataset import Prepared, PrepareSpec, prepare_dataset
    from psmnet.data.store import Case, find_cases
    from psmnet.errors import PsmnetError
    from psmnet.evaluation.evaluator import evaluate
    from psmnet.evaluation.metrics import Scores, score
    from psmnet.export.nnunet import export_nnunet
    from psmnet.io import read_dicom_series, read_labels, read_volume, write_volume
    from psmnet.models.weights import Weights, load_weights
    from psmnet.segmentation.result import Segmentation
    from psmnet.segmentation.segmenter import Segmenter
    from psmnet.segmentation.suggestion import Suggestion, suggest
    from psmnet.training.run import RunSpec, run_training
    from psmnet.volume.volume import Volume

_HOME = {
    "Case": "psmnet.data.store",
    "PrepareSpec": "psmnet.data.prepare.dataset",
    "Prepared": "psmnet.data.prepare.dataset",
    "PsmnetError": "psmnet.errors",
    "Report": "psmnet.data.check.dataset_check",
    "RunSpec": "psmnet.training.run",
    "Scores": "psmnet.evaluation.metrics",
    "Segmentation": "psmnet.segmentation.result",
    "Segmenter": "psmnet.segmentation.segmenter",
    "Suggestion": "psmnet.segmentation.suggestion",
    "Volume": "psmnet.volume.volume",
    "Weights": "psmnet.models.weights",
    "check_dataset": "psmnet.data.check.dataset_check",
    "draw_patient": "psmnet.data.phantom.patient",
    "evaluate": "psmnet.evaluation.evaluator",
    "export_nnunet": "psmnet.export.nnunet",
    "find_cases": "psmnet.data.store",
    "load_weights": "psmnet.models.weights",
    "prepare_dataset": "psmnet.data.prepare.dataset",
    "read_dicom_series": "psmnet.io",
    "read_labels": "psmnet.io",
    "read_volume": "psmnet.io",
    "run_training": "psmnet.training.run",
    "score": "psmnet.evaluation.metrics",
    "suggest": "psmnet.segmentation.suggestion",
    "write_volume": "psmnet.io",
}

__all__ = [  # spelled out for type checkers; a test holds it equal to _HOME
    "Case",
    "PrepareSpec",
    "Prepared",
    "PsmnetError",
    "Report",
    "RunSpec",
    "Scores",
    "Segmentation",
    "Segmenter",
    "Suggestion",
    "Volume",
    "Weights",
    "check_dataset",
    "draw_patient",
    "evaluate",
    "export_nnunet",
    "find_cases",
    "load_weights",
    "prepare_dataset",
    "read_dicom_series",
    "read_labels",
    "read_volume",
    "run_training",
    "score",
    "suggest",
    "write_volume",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'psmnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
