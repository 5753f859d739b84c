from .checksums import (
    checksum,
    digest,
)
from .dicom import (
    read_dicom_series,
)
from .dicom_seg import (
    write_dicom_seg,
)
from .files import (
    Scan,
    has_scan_suffix,
    read_labels,
    read_lattice,
    read_scan,
    read_volume,
    write_volume,
)
from .label_files import (
    read_label_file,
)
from .names import (
    IMAGE_FOLDERS,
    IMAGE_PREFIX,
    LABEL_ENDINGS,
    LABEL_FOLDERS,
    LABEL_PREFIX,
    SEGMENTATION_ENDINGS,
    is_label_map,
    is_pseudolabel,
    is_segmentation,
    stem,
    without_folder,
)
from .nifti_header import (
    has_nifti_suffix,
    read_header,
)
from .organ_names import (
    OrganName,
    read_names,
    unnamed,
)
from .png import (
    read_grey_png,
)
from .scan_files import (
    Query,
    Skipped,
    anonymised,
    find_queries,
)
from .voxels import (
    narrowed,
    stacked,
)

__all__ = [
    "IMAGE_FOLDERS",
    "IMAGE_PREFIX",
    "LABEL_ENDINGS",
    "LABEL_FOLDERS",
    "LABEL_PREFIX",
    "SEGMENTATION_ENDINGS",
    "OrganName",
    "Query",
    "Scan",
    "Skipped",
    "anonymised",
    "checksum",
    "digest",
    "find_queries",
    "has_nifti_suffix",
    "has_scan_suffix",
    "is_label_map",
    "is_pseudolabel",
    "is_segmentation",
    "narrowed",
    "read_dicom_series",
    "read_grey_png",
    "read_header",
    "read_label_file",
    "read_labels",
    "read_lattice",
    "read_names",
    "read_scan",
    "read_volume",
    "stacked",
    "stem",
    "unnamed",
    "without_folder",
    "write_dicom_seg",
    "write_volume",
]
