from .dataset import (
    FAULTS_OF_PREPARE,
    Prepared,
    PrepareSpec,
    prepare_dataset,
)
from .download import (
    fetch,
    size_text,
)
from .preprocess import (
    LAS,
    window,
)
from .raw_files import (
    RawFiles,
)
from .zenodo import (
    find_files,
)

__all__ = [
    "FAULTS_OF_PREPARE",
    "LAS",
    "PrepareSpec",
    "Prepared",
    "RawFiles",
    "fetch",
    "find_files",
    "prepare_dataset",
    "size_text",
    "window",
]
