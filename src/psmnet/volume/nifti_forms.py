"""`NiftiForms`: how a NIfTI file places its voxels, kept as stored."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NiftiForms:
    """The fields of a NIfTI header that place its voxels, by their names in the standard.

    Viewers differ in which of the two transforms they follow, qform or sform. A mask that has both as its scan has
    them lies on the scan in all viewers. Numbers only: nothing here can name a patient.
    """

    qform_code: int
    sform_code: int
    quatern_b: float
    quatern_c: float
    quatern_d: float
    qoffset_x: float
    qoffset_y: float
    qoffset_z: float
    srow_x: tuple[float, ...]
    srow_y: tuple[float, ...]
    srow_z: tuple[float, ...]
    pixdim: tuple[float, ...]
    xyzt_units: int
