"""`dataset.json`: what a prepared folder holds, where each case came from, and by which constants."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psmnet.errors import InputError
from psmnet.system import read_json, write_json

DATASET_NAME = "dataset.json"
SCHEMA = "psmnet-dataset-1"


@dataclass
class DatasetFile:
    """What `prepare` says of its output.

    Attributes:
        dataset: name in the catalog.
        version: of the program.
        modality: mr or ct; mixed where cases differ.
        legacy: names of the catalog's faults that were asked for.
        constants: of the pre-processing.
        labels: organ name to value.
        cases: id to sources with their checksums, checksums of image and label, geometry, intensities, voxel counts.
    """

    dataset: str
    version: str
    modality: str = ""
    legacy: tuple[str, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into a prepared folder, atomically."""
        write_json(folder / DATASET_NAME, {"schema": SCHEMA} | asdict(self))

    def names(self) -> dict[int, str]:
        """Label value to organ name."""
        return {value: name for name, value in self.labels.items()}

    def institutions(self) -> dict[str, str]:
        """Case id to institution, where the data set tells."""
        return {case_id: case["institution"] for case_id, case in self.cases.items() if case.get("institution")}


def read_dataset_file(folder: Path) -> DatasetFile | None:
    """What a folder's `dataset.json` says; None where there is none, or one of another program (nnU-Net, MSD).

    Raises:
        InputError: it is ours but damaged.
    """
    path = folder / DATASET_NAME
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        return None
    try:
        found = DatasetFile(**content)
        found.legacy = tuple(found.legacy)
        found.institutions(), found.names()
        for case in found.cases.values():
            for value in case.get("voxels", {}):
                int(value)
    except (TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})", "prepare the data again") from error
    return found
