"""What tests of `prepare` share: running it, and looking at what it wrote."""

import hashlib
from pathlib import Path
from typing import Any

from psmnet.data.dataset_file import DATASET_NAME
from psmnet.data.prepare.dataset import Prepared, PrepareSpec, prepare_dataset
from psmnet.io import read_labels, read_volume
from psmnet.volume.volume import Volume


def run(dataset: str, raw: Path, out: Path, *, jobs: int = 1, **options: Any) -> Prepared:
    return prepare_dataset(PrepareSpec(dataset, **options), raw, out, jobs=jobs)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(out: Path) -> dict[str, int]:
    """When scans and label maps were written."""
    return {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name != DATASET_NAME}


def image(out: Path, case_id: str) -> Volume:
    return read_volume(out / f"image_{case_id}.nii.gz")


def labels(out: Path, case_id: str) -> Volume:
    return read_labels(out / f"label_{case_id}.nii.gz")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
