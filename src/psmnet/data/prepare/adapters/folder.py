"""A user's own scans: nnU-Net v2 and MSD data sets, the normalised layout, or plain folders of images and labels."""

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from psmnet.data.prepare import RawFiles
from psmnet.data.prepare.adapters.raw_case import RawCase, claim, read_nifti_pair
from psmnet.errors import InputError
from psmnet.io import (
    IMAGE_FOLDERS,
    IMAGE_PREFIX,
    LABEL_ENDINGS,
    LABEL_FOLDERS,
    LABEL_PREFIX,
    SEGMENTATION_ENDINGS,
    has_scan_suffix,
    is_label_map,
    is_pseudolabel,
    is_segmentation,
    stem,
)
from psmnet.volume import Volume

TEST_FOLDERS = ("imagesTs", "labelsTs")  # of nnU-Net and MSD: not for training
CHANNEL = "_0000"  # nnU-Net's mark of the first channel
LABEL_WORDS = ("label", "labels", "mask", "masks", "seg", "segmentation")  # a label map's whole name, beside a scan
Key = tuple[tuple[str, ...], str]


def find(raw: RawFiles) -> list[RawCase]:
    """Scans with the label maps whose names match theirs; scans without one are unlabelled cases.

    Raises:
        InputError: scans of several channels, or two scans or label maps of one name.
    """
    images: dict[Key, str] = {}
    labels: dict[Key, str] = {}
    for name in raw.names:
        path = PurePosixPath(name)
        if not has_scan_suffix(Path(name)) or path.parent.name in TEST_FOLDERS or is_pseudolabel(path):
            continue
        named_so = is_label_map(path) or is_segmentation(path) or stem(path).lower() in LABEL_WORDS
        is_labels = named_so and path.parent.name not in IMAGE_FOLDERS
        found, key = (labels, _label_key(path)) if is_labels else (images, _image_key(path))
        if key in found:
            raise InputError(f"{found[key]} and {name} are of one case", "give the folder of one of them")
        found[key] = name
    ids = _ids([*images, *(key for key in labels if key not in images)])
    return [
        RawCase(
            ids[key],
            (images[key],) if key in images else (),
            (labels[key],) if key in labels else (),
        )
        for key in sorted(ids, key=lambda key: ids[key])
    ]


def read(
    case: RawCase, local: Mapping[str, Path], values: Collection[int], notes: list[str]
) -> tuple[Volume, Volume | None]:
    """A scan, and its labels if there are any."""
    if not case.images:
        raise InputError(
            f"{case.labels[0]} has no image of its name", "name them alike, as scan.nii.gz and scan_label.nii.gz"
        )
    return read_nifti_pair(case, local, values, notes)


def label_names(raw: RawFiles) -> dict[str, int]:
    """Organ name to label value from a `dataset.json` of nnU-Net, MSD or psmnet; empty without one.

    Raises:
        InputError: it is damaged.
    """
    found = sorted((name for name in raw.names if PurePosixPath(name).name == "dataset.json"), key=len)
    if not found:
        return {}
    with tempfile.TemporaryDirectory(prefix="psmnet-") as scratch, raw.local(found[:1], Path(scratch)) as local:
        try:
            content = json.loads(local[found[0]].read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{found[0]} is not JSON ({error})", "fix or remove it") from error
    stored: Any = content.get("labels") if isinstance(content, dict) else None
    names: dict[str, int] = {}
    for key, value in (stored if isinstance(stored, dict) else {}).items():
        # nnU-Net v2: {"liver": 1}; MSD: {"1": "liver"}. Its regions ({"whole tumour": [1, 2]}) are no labels.
        name, number = (value, key) if str(key).isdecimal() else (key, value)
        if str(number).isdecimal() and int(number) > 0:
            names["_".join(str(name).split())] = int(number)
    return names


def _image_key(path: PurePosixPath) -> Key:
    core = stem(path)
    if path.parent.name == "imagesTr" and core[-5:-1] == "_000":
        if not core.endswith(CHANNEL):
            raise InputError(f"{path} is a channel beside {CHANNEL}", "give scans of one channel")
        core = core.removesuffix(CHANNEL)
    return _folders(path), core.removeprefix(IMAGE_PREFIX) if core != "image" else ""


def _label_key(path: PurePosixPath) -> Key:
    core = stem(path)
    for ending in (*LABEL_ENDINGS, *SEGMENTATION_ENDINGS):
        if core.lower().endswith(ending):
            core = core[: -len(ending)]
            break
    for prefix in (LABEL_PREFIX, IMAGE_PREFIX):
        core = core.removeprefix(prefix)
    return _folders(path), core if core.lower() not in ("image", *LABEL_WORDS) else ""


def _folders(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(part for part in path.parts[:-1] if part not in (*IMAGE_FOLDERS, *LABEL_FOLDERS))


def _ids(keys: list[Key]) -> dict[Key, str]:
    """A case's id is the core of its name, with its folders in front where that is not enough; `scan` if both lack."""
    cores = Counter(core for _, core in keys)
    ids: dict[str, str] = {}
    result = {}
    for folders, core in keys:
        case_id = core if core and cores[core] == 1 else "_".join([*folders, *([core] if core else [])]) or "scan"
        if not case_id.isprintable():
            raise InputError(f"the name {case_id!r} holds a control character", "rename the file")
        claim(ids, case_id, "/".join([*folders, core]))
        result[folders, core] = case_id
    return result
