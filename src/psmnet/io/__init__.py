"""Reading and writing scans: files to `Volume` and back."""

from psmnet.io.nifti import read_labels, read_volume, write_volume
from psmnet.io.nifti_header import NiftiHeader, read_header

__all__ = ["NiftiHeader", "read_header", "read_labels", "read_volume", "write_volume"]
