"""Writes a prepared folder as an nnU-Net v2 data set, to compare with supervised training."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from psmnet.catalog import dataset
from psmnet.data import DATASET_NAME, Case, find_cases, read_dataset_file
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.io import write_volume
from psmnet.system import map_cases, read_json, write_json
from psmnet.volume import Volume

CHANNELS = {"ct": "CT", "mr": "MRI"}


def export_nnunet(
    folder: Path,
    out: Path,
    dataset_name: str | None = None,
    *,
    jobs: int = 1,
    report: Callable[[int, str, int], None] = lambda done, case_id, total: None,
) -> dict[str, PsmnetError]:
    """Write `imagesTr`, `labelsTr`, `imagesTs` (unlabelled scans) and `dataset.json`.

    Label values become 1, 2, ..., as nnU-Net requires; `dataset.json` holds the original values.

    Args:
        folder: in the normalised layout.
        out: folder, which nnU-Net requires to be named `DatasetNNN_Name`; existing files are replaced.
        dataset_name: in the catalog (default: the one in `folder`'s `dataset.json`).
        jobs: number of processes.
        report: called with (done, case id, total).

    Returns:
        errors of cases that could not be exported, by id. `dataset.json` counts the others.

    Raises:
        ConfigError: `out` is `folder`, or the data set is not known.
        InputError: the folder has no case, or no names for its labels.
    """
    if out.resolve() == folder.resolve():
        raise ConfigError(f"{out} is the prepared folder itself", "choose another folder")
    cases = find_cases(folder)
    prepared = read_dataset_file(folder)
    if prepared is None and dataset_name is None:
        raise ConfigError(f"{folder} has no {DATASET_NAME} of psmnet", "name the data set", code="dataset-name")
    name = dataset_name or (prepared.dataset if prepared else "folder")
    facts = dataset(name)
    require_own_dataset(out, name)
    labels = dict(facts.labels) or (prepared.labels if prepared else {})
    if not labels:
        raise InputError(f"no names for the labels of {folder}", "label a case, and run psmnet prepare folder again")
    ordered = dict(sorted(labels.items(), key=lambda item: item[1]))
    new_values = {value: index for index, value in enumerate(ordered.values(), start=1)}
    failed: dict[str, PsmnetError] = {}
    work = partial(_export_case, out=out, new_values=new_values)
    for done, (case, result) in enumerate(map_cases(work, cases, jobs), start=1):
        if isinstance(result, PsmnetError):
            failed[case.id] = result
        report(done, case.id, len(cases))
    modality = prepared.modality if prepared and prepared.modality else facts.modality
    content = {
        "name": out.name,
        "exported_from": name,
        "description": f"{facts.title}, as psmnet prepared it",
        "licence": facts.licence,
        "reference": facts.citation,
        "channel_names": {"0": CHANNELS.get(modality, "scan")},
        "labels": {"background": 0} | {organ: new_values[value] for organ, value in ordered.items()},
        "label_values_before": ordered,
        "numTraining": sum(case.label_path.exists() and case.id not in failed for case in cases),
        "file_ending": ".nii.gz",
    }
    write_json(out / DATASET_NAME, content)
    return failed


def require_own_dataset(out: Path, name: str) -> None:
    """Refuse a folder with another data set, whose cases would be mixed with these.

    Raises:
        ConfigError: it has one.
    """
    path = out / DATASET_NAME
    content = read_json(path) if path.exists() else {"exported_from": name}
    before = content.get("exported_from") if isinstance(content, dict) else None
    if before != name:
        raise ConfigError(
            f"{out} holds another data set ({before or 'not exported by psmnet'})", "choose another folder"
        )


def _export_case(case: Case, *, out: Path, new_values: Mapping[int, int]) -> None:
    training_path, label_path = out / "imagesTr" / f"{case.id}_0000.nii.gz", out / "labelsTr" / f"{case.id}.nii.gz"
    test_path = out / "imagesTs" / training_path.name
    for path in (training_path, label_path, test_path):
        path.unlink(missing_ok=True)  # files of an earlier export, in which the case may have had labels or not
    image = case.image()
    if not case.label_path.exists():
        write_volume(image, test_path)
        return
    labels = case.labels(image)
    unnamed = sorted(set(np.unique(labels.array_zyx).tolist()) - set(new_values) - {0})
    if unnamed:
        raise InputError(
            f"{case.label_path.name} holds label {unnamed[0]}, which has no name", "prepare the data again"
        )
    write_volume(renumbered(labels, new_values), label_path)
    write_volume(image, training_path)


def renumbered(labels: Volume, new_values: Mapping[int, int]) -> Volume:
    """A label map with other values; those without a new one become background."""
    found = np.zeros(labels.array_zyx.shape, np.min_scalar_type(len(new_values)))
    for value, new in new_values.items():
        found[labels.array_zyx == value] = new
    return labels.with_array(found)
