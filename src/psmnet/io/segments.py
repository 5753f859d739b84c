"""Segments of 3D Slicer: a `.seg.nrrd` has a name for each, and keeps overlapping ones in layers.

Source: https://apidocs.slicer.org/main/classvtkMRMLSegmentationStorageNode.html (Segment0_Name, ...). Nothing else is
read: a segment's history may name who drew it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from psmnet.errors import InputError
from psmnet.io.itk import read_image, remarks
from psmnet.io.itk_header import NRRD_SUFFIXES, read_itk_header
from psmnet.io.organ_names import OrganName
from psmnet.io.voxels import as_labels, stacked
from psmnet.volume import Volume, simpleitk, volume_of

# A terminology entry is context~category~type~modifier and so on; the type is the organ.
SNOMED = re.compile(r"TerminologyEntry:[^~|]*~[^~|]*~SCT\^(\d+)\^")


@dataclass(frozen=True)
class Segments:
    """Labels of a file, with their names.

    Attributes:
        volume: label map; a voxel of several segments has the last one's value.
        names: value to name, of the values that have one.
        notes: remarks for the user.
    """

    volume: Volume
    names: dict[int, OrganName]
    notes: tuple[str, ...]


def read_segments(path: Path) -> Segments | None:
    """The segments of a .nrrd; None if it has none: it is an image or a plain label map.

    Raises:
        InputError: it can't be read, or its segments don't match its voxels.
    """
    if not path.name.lower().endswith(NRRD_SUFFIXES):
        return None
    header = read_itk_header(path)
    image = read_image(path)
    known = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment")}
    numbers = sorted(int(key[7:-3]) for key in known if re.fullmatch(r"Segment\d+_ID", key))
    if not numbers:
        return None
    sitk = simpleitk()
    layers = (
        [image]
        if header.layers == 1
        else [sitk.VectorIndexSelectionCast(image, index) for index in range(header.layers)]
    )
    arrays = [as_labels(volume_of(layer).array_zyx, path) for layer in layers]
    names: dict[int, OrganName] = {}
    masks = []
    stored = [_whole(path, known, f"Segment{number}_LabelValue") for number in numbers]
    # Values may begin at 1 in each layer.
    places = stored if len(set(stored)) == len(stored) and 0 not in stored else range(1, len(numbers) + 1)
    for place, number, value in zip(places, numbers, stored, strict=True):
        layer = _whole(path, known, f"Segment{number}_Layer")
        if layer >= len(arrays):
            raise InputError(f"{path}: segment {number} is in layer {layer} of {len(arrays)}", "save it again")
        masks.append((place, layer, value))
        code = SNOMED.search(known.get(f"Segment{number}_Tags", ""))
        name = known.get(f"Segment{number}_Name", "").strip() or f"segment {number}"
        names[place] = OrganName(name, code.group(1) if code else "")
    inside = ((place, arrays[layer] == value) for place, layer, value in masks)
    labels, shared = stacked(inside, arrays[0].shape, "segments")
    notes = (*remarks(path, header), *(f"{path}: {remark}" for remark in shared))
    return Segments(volume_of(layers[0]).with_array(labels), names, notes)


def _whole(path: Path, known: dict[str, str], key: str) -> int:
    text = known.get(key, "0" if key.endswith("Layer") else "").strip()
    if not text.isdecimal():
        raise InputError(f"{path} has {key} {text!r}", "save the segmentation again")
    return int(text)
