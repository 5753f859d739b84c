"""Scans, label maps and segmentations told apart by their file names."""

from pathlib import PurePath

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
SEGMENTATION_ENDINGS = ("_seg", "-seg", "_segmentation", "-segmentation")
LABEL_ENDINGS = tuple(f"{joint}{word}" for joint in "_-" for word in ("label", "labels", "mask", "masks"))
LABEL_FOLDERS = ("labelsTr", "labelsTs", "labels", "masks")
IMAGE_FOLDERS = ("imagesTr", "images")
LABEL_PREFIX, IMAGE_PREFIX, PSEUDOLABEL_PREFIXES = "label_", "image_", ("superpix-", "supervox-")


def stem(path: PurePath) -> str:
    """A file's name without its suffix: .nii.gz and the like, in any case, or any other."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def is_segmentation(path: PurePath) -> bool:
    """Whether the name is that of a program's segmentation: `<name>_seg.nii.gz`, `<name>-segmentation.seg.nrrd`."""
    name = path.name.lower()
    return stem(path).lower().endswith(SEGMENTATION_ENDINGS) or "_seg." in name or ".seg." in name


def is_label_map(path: PurePath) -> bool:
    """Whether the name is that of a label map, by prefix, ending or folder."""
    name = stem(path).lower()
    return name.startswith(LABEL_PREFIX) or name.endswith(LABEL_ENDINGS) or path.parent.name in LABEL_FOLDERS


def is_pseudolabel(path: PurePath) -> bool:
    """Whether the name is that of superpixels or supervoxels."""
    return stem(path).lower().startswith(PSEUDOLABEL_PREFIXES)


def without_folder(text: str, path: PurePath) -> str:
    """A message with the file's name in place of its path: reports must not show whose folder a scan was in."""
    return text.replace(str(path), path.name)
