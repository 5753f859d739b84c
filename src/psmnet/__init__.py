"""Few-shot medical image segmentation: one labelled scan in, the same organs out in other scans.

What stands in `__all__` is the public API; names are imported when they are used, so that `import psmnet` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psmnet.checkpoint import Weights, load_weights
    from psmnet.data.phantom import draw_patient
    from psmnet.data.store import Case, find_cases
    from psmnet.errors import PsmnetError
    from psmnet.evaluation import evaluate
    from psmnet.io import read_labels, read_volume, write_volume
    from psmnet.metrics import Scores, score
    from psmnet.run import RunSpec, run_training
    from psmnet.segmenter import Segmentation, Segmenter
    from psmnet.volume import Volume

_HOME = {
    "Case": "psmnet.data.store",
    "PsmnetError": "psmnet.errors",
    "RunSpec": "psmnet.run",
    "Scores": "psmnet.metrics",
    "Segmentation": "psmnet.segmenter",
    "Segmenter": "psmnet.segmenter",
    "Volume": "psmnet.volume",
    "Weights": "psmnet.checkpoint",
    "draw_patient": "psmnet.data.phantom",
    "evaluate": "psmnet.evaluation",
    "find_cases": "psmnet.data.store",
    "load_weights": "psmnet.checkpoint",
    "read_labels": "psmnet.io",
    "read_volume": "psmnet.io",
    "run_training": "psmnet.run",
    "score": "psmnet.metrics",
    "write_volume": "psmnet.io",
}

__all__ = [  # spelled out for type checkers; a test holds it equal to _HOME
    "Case",
    "PsmnetError",
    "RunSpec",
    "Scores",
    "Segmentation",
    "Segmenter",
    "Volume",
    "Weights",
    "draw_patient",
    "evaluate",
    "find_cases",
    "load_weights",
    "read_labels",
    "read_volume",
    "run_training",
    "score",
    "write_volume",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'psmnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
