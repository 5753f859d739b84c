"""`dataset.json`: what a prepared folder holds, where each case came from, and by which constants."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from psmnet.system import StoredFile, StoredPart, read_json

DATASET_NAME = "dataset.json"


class IntensityRange(StoredPart):
    """Intensities of a prepared image."""

    minimum: float
    maximum: float
    mean: float


class PreparedCase(StoredPart):
    """One case of a prepared folder.

    Attributes:
        sources: name of each raw file to its SHA-256.
        image_sha256, label_sha256: of the files in the folder; None for a case without labels.
        institution: where the scan was taken, if known.
        modality: mr or ct.
        raw_size_xyz, raw_spacing_mm, raw_axes: as downloaded.
        size_xyz, spacing_mm, axes: as prepared.
        intensity: of the prepared image.
        voxels: label value to number of voxels.
        notes: remarks for the user.
    """

    sources: dict[str, str] = Field(default_factory=dict)
    image_sha256: str | None = None
    label_sha256: str | None = None
    institution: str | None = None
    modality: str | None = None
    raw_size_xyz: tuple[int, ...] = ()
    raw_spacing_mm: tuple[float, ...] = ()
    raw_axes: str = ""
    size_xyz: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    axes: str = ""
    intensity: IntensityRange | None = None
    voxels: dict[int, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)


class DatasetFile(StoredFile):
    """What `prepare` writes about its output.

    Attributes:
        dataset: name in the catalog.
        version: of the program.
        modality: mr or ct; mixed where cases differ.
        legacy: names of the known bugs of published preprocessing that were reproduced.
        constants: of the pre-processing.
        labels: organ name to value.
        cases: id to case.
    """

    SCHEMA: ClassVar[str] = "psmnet-dataset-1"
    REMEDY: ClassVar[str] = "prepare the data again"

    dataset: str
    version: str
    modality: str = ""
    legacy: tuple[str, ...] = ()
    constants: dict[str, Any] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)
    cases: dict[str, PreparedCase] = Field(default_factory=dict)

    def write_into(self, folder: Path) -> None:
        """Write it into a prepared folder, atomically."""
        self.write(folder / DATASET_NAME)

    def names(self) -> dict[int, str]:
        """Label value to organ name."""
        return {value: name for name, value in self.labels.items()}

    def institutions(self) -> dict[str, str]:
        """Case id to institution, if known."""
        return {case_id: case.institution for case_id, case in self.cases.items() if case.institution}


def read_dataset_file(folder: Path) -> DatasetFile | None:
    """A folder's `dataset.json`; None without one, or if another program (nnU-Net, MSD) wrote it.

    Raises:
        InputError: psmnet wrote it, but it is damaged.
    """
    path = folder / DATASET_NAME
    if not path.exists():
        return None
    return DatasetFile.read(path) if DatasetFile.has_schema(read_json(path)) else None
