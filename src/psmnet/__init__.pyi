from .cohort import LearnedCohort, learn
from .data import Case, find_cases
from .data.check import Report, check_dataset
from .data.phantom import draw_patient
from .data.prepare import Prepared, PrepareSpec, prepare_dataset
from .errors import PsmnetError
from .evaluation import Scores, evaluate, score
from .export import export_masks, export_nnunet, export_onnx
from .io import read_dicom_series, read_labels, read_volume, write_volume
from .learning import LearnSettings
from .models import Weights, load_weights
from .segmentation import LearnedSegmenter, Segmentation, Segmenter, Suggestion, suggest
from .training import RunSpec, run_training
from .volume import Volume

__all__ = [
    "Case",
    "LearnSettings",
    "LearnedCohort",
    "LearnedSegmenter",
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
    "export_masks",
    "export_nnunet",
    "export_onnx",
    "find_cases",
    "learn",
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
