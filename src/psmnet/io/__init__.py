"""Reading and writing scans: files to `Volume` and back."""

from psmnet.io.dicom import Series, read_dicom_series
from psmnet.io.files import Scan, has_scan_suffix, read_labels, read_lattice, read_scan, read_volume, write_volume
from psmnet.io.nifti_header import NiftiHeader, read_header
from psmnet.io.png import read_grey_png

__all__ = [
    "NiftiHeader",
    "Scan",
    "Series",
    "has_scan_suffix",
    "read_dicom_series",
    "read_grey_png",
    "read_header",
    "read_labels",
    "read_lattice",
    "read_scan",
    "read_volume",
    "write_volume",
]
