"""NIfTI files written byte by byte for the tests, and how a refusal must read."""

import gzip
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.io import read_volume

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
SROW = (1, 0, 0, 10, 0, 1, 0, 20, 0, 0, 1, 30)


@dataclass(frozen=True)
class Nifti:
    """A NIfTI file written byte by byte, so that any field can be wrong."""

    array_zyx: Any = field(default_factory=lambda: np.arange(120, dtype="f4").reshape(6, 5, 4))
    dim: tuple[int, ...] | None = None
    datatype: int | None = None
    pixdim: tuple[float, ...] = (1, 1, 2, 3, 1, 1, 1, 1)
    voxel_offset: float | None = None
    slope: float = 1
    intercept: float = 0
    units: int = 2
    qform_code: int = 1
    sform_code: int = 0
    qform: tuple[float, ...] = (0, 0, 0, 10, 20, 30)
    sform: tuple[float, ...] = SROW
    order: str = "<"
    version: int = 1
    magic: bytes | None = None

    def header(self) -> bytes:
        z, y, x = self.array_zyx.shape
        dim = self.dim or (3, x, y, z, 1, 1, 1, 1)
        kind = self.array_zyx.dtype.str[1:]
        datatype = CODES[kind] if self.datatype is None else self.datatype
        bits = 8 * self.array_zyx.dtype.itemsize
        one = self.version == 1
        offset = self.voxel_offset if self.voxel_offset is not None else (352 if one else 544)
        content = bytearray(352 if one else 544)

        def put(fields: str, place: int, *values: Any) -> None:
            struct.pack_into(self.order + fields, content, place, *values)

        put("i", 0, 348 if one else 540)
        if one:
            put("8h", 40, *dim)
            put("2h", 70, datatype, bits)
            put("8f", 76, *self.pixdim)
            put("3f", 108, offset, self.slope, self.intercept)
            content[123] = self.units
            put("2h", 252, self.qform_code, self.sform_code)
            put("18f", 256, *self.qform, *self.sform)
            content[344:348] = self.magic or b"n+1\0"
        else:
            content[4:12] = self.magic or b"n+2\0\r\n\x1a\n"
            put("2h", 12, datatype, bits)
            put("8q", 16, *dim)
            put("8d", 104, *self.pixdim)
            put("q2d", 168, int(offset), self.slope, self.intercept)
            put("2i", 344, self.qform_code, self.sform_code)
            put("18d", 352, *self.qform, *self.sform)
            put("i", 500, self.units)
        return bytes(content)

    def content(self) -> bytes:
        array = self.array_zyx.astype(self.array_zyx.dtype.newbyteorder(self.order))
        return self.header() + array.tobytes()

    def write(self, path: Path) -> Path:
        packed = path.name.lower().endswith(".gz")
        path.write_bytes(gzip.compress(self.content(), 1) if packed else self.content())
        return path


def refusal(path: Path, reader: Any = read_volume) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.remedy
    return message
