"""One case from its raw files to the normalised layout, and its entry in `dataset.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from psmnet.catalog import HU_MINIMUM, dataset
from psmnet.data import IntensityRange, PreparedCase
from psmnet.data.prepare.adapters import ADAPTERS, RawCase
from psmnet.data.prepare.preprocess import PreprocessConstants, lay_axes, preprocess
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import PsmnetError
from psmnet.io import write_volume
from psmnet.system import sha256_of
from psmnet.volume import Volume, axis_letters


@dataclass(frozen=True)
class CaseMaker:
    """Everything that is needed to make any case.

    Attributes:
        dataset_name: name in the catalog.
        raw: the download.
        out: output folder.
        recipe: constants.
        modality: mr or ct for own scans; None decides by the scan's minimum.
        fixed_size: whether the user gave the size, so that cropping needs no note.
        earlier: entries of `dataset.json` of cases made before.
    """

    dataset_name: str
    raw: RawFiles
    out: Path
    recipe: PreprocessConstants
    modality: str | None
    fixed_size: bool
    earlier: Mapping[str, PreparedCase]

    def make(self, case: RawCase) -> tuple[PreparedCase, bool]:
        """Make one case if it is missing or out of date; returns its entry in `dataset.json`, and whether it was made.

        The label map is written first and the image last, so an image means a finished case.

        Raises:
            InputError: the raw files can't be used, or the output can't be written.
        """
        facts = dataset(self.dataset_name)
        image_path, label_path = paths_of(self.out, case.id)
        with self.raw.local([*case.images, *case.labels], self.out) as local:
            sources = {name: sha256_of(path) for name, path in local.items()}
            record = self.earlier.get(case.id)
            if record is not None and self._is_same(record, sources, case) and is_whole(record, self.out, case.id):
                return record, False
            image_path.unlink(missing_ok=True)  # until it is made again, the case does not exist
            label_path.unlink(missing_ok=True)
            notes: list[str] = []
            try:
                stored, stored_labels = ADAPTERS[self.dataset_name].read(case, local, facts.labels.values(), notes)
            except PsmnetError as error:
                raise type(error)(_with_names(error.what, local), error.remedy) from error
        modality, recipe = facts.modality, self.recipe
        if modality == "any":
            modality = self.modality or ("ct" if stored.array_zyx.min() <= HU_MINIMUM else "mr")
            if modality == "ct":
                recipe = recipe.with_window()
        image, labels = preprocess(stored, stored_labels, recipe)
        if facts.modality == "any" and not self.fixed_size:
            notes += _cropped(case.id, lay_axes(stored, recipe), image)
        if labels is not None:
            write_volume(labels, label_path)
        write_volume(image, image_path)
        low, high = (float(value) for value in (image.array_zyx.min(), image.array_zyx.max()))
        mean = float(image.array_zyx.mean(dtype=np.float64))
        made = PreparedCase(
            sources=sources,
            image_sha256=sha256_of(image_path),
            label_sha256=sha256_of(label_path) if labels is not None else None,
            institution=case.institution,
            modality=modality,
            raw_size_xyz=stored.size_xyz,
            raw_spacing_mm=stored.spacing_mm,
            raw_axes=axis_letters(stored.direction),
            size_xyz=image.size_xyz,
            spacing_mm=image.spacing_mm,
            axes=axis_letters(image.direction),
            intensity=IntensityRange(minimum=low, maximum=high, mean=mean),
            voxels={} if labels is None else _voxels(labels),
            notes=[_with_names(note, local) for note in notes],
        )
        return made, True

    def _is_same(self, record: PreparedCase, sources: Mapping[str, str], case: RawCase) -> bool:
        """Whether a case was made from these sources, in this modality."""
        same = record.sources == sources and record.institution == case.institution
        return same and self.modality in (None, record.modality)


def paths_of(out: Path, case_id: str) -> tuple[Path, Path]:
    """Paths of a case's image and label map."""
    return out / f"image_{case_id}.nii.gz", out / f"label_{case_id}.nii.gz"


def is_whole(record: PreparedCase, out: Path, case_id: str) -> bool:
    """Whether a case's files are those of its record."""
    image, labels = paths_of(out, case_id)
    if not image.exists() or sha256_of(image) != record.image_sha256:
        return False
    if record.label_sha256 is None:
        return not labels.exists()
    return labels.exists() and sha256_of(labels) == record.label_sha256


def _cropped(case_id: str, whole: Volume, image: Volume) -> list[str]:
    """A note if a scan added later is larger than those that the size was chosen for."""
    before, after = (np.array(volume.size_xyz[:2]) * volume.spacing_mm[:2] for volume in (whole, image))
    if (before < after + image.spacing_mm[:2]).all():
        return []
    (x, y), (to_x, to_y) = before, after
    return [
        f"case {case_id}: slices of {x:.4g} x {y:.4g} mm were cut to {to_x:.4g} x {to_y:.4g} mm, the size of the first "
        "scans; to keep them whole, prepare all scans into another folder"
    ]


def _voxels(labels: Volume) -> dict[int, int]:
    values, counts = np.unique(labels.array_zyx, return_counts=True)
    return {value: count for value, count in zip(values.tolist(), counts.tolist(), strict=True) if value}


def _with_names(text: str, local: Mapping[str, Path]) -> str:
    """A text with names of files and folders instead of paths; paths of a zip's members no longer exist."""
    for name, path in local.items():
        text = text.replace(str(path), name)
    for name, path in local.items():
        if "/" in name:
            text = text.replace(str(path.parent), str(PurePosixPath(name).parent))
    return text
