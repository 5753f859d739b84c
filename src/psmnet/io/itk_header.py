"""Checking an NRRD or MetaImage file before SimpleITK touches it: header, layout and length.

Both are a text header with the voxels after it or in a second file. As with NIfTI, what a header claims is compared
with what the file holds before any memory is allocated.

Sources: https://teem.sourceforge.net/nrrd/format.html, https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from psmnet.errors import InputError
from psmnet.io.nifti_header import CHUNK_BYTES, LARGEST_VOXEL_COUNT, TOLERATED_EXTRA_BYTES, require_readable_name

Coding = Literal["raw", "gzip", "zlib"]

NRRD_SUFFIXES = (".nrrd",)
META_SUFFIXES = (".mha", ".mhd")
LARGEST_HEADER_BYTES = 1 << 20  # a .seg.nrrd has a few hundred bytes per segment
NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), 8),
    "float": 4,
    "double": 8,
}
META_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
    **dict.fromkeys(("MET_LONG", "MET_ULONG"), 8),
}
NRRD_CODINGS: dict[str, Coding] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
TRUE = ("true", "1")
AGAIN = "export the scan again"
MOST_AXES = 8


@dataclass(frozen=True)
class ItkHeader:
    """What a checked header says.

    Attributes:
        size_xyz: voxels along the stored axes.
        layers: overlapping label maps in a .seg.nrrd; 1 otherwise.
        oriented: whether the file states how the axes lie in the patient.
        holder: the file that holds the voxels; of a .mhd, a second one.
    """

    size_xyz: tuple[int, int, int]
    layers: int
    oriented: bool
    holder: Path


@dataclass(frozen=True)
class _Layout:
    """Where the voxels are and how many bytes they should be."""

    path: Path
    offset: int
    coding: Coding
    needed: int


def has_itk_suffix(path: Path) -> bool:
    """Whether the name ends in .nrrd, .mha or .mhd, in any case."""
    return path.name.lower().endswith((*NRRD_SUFFIXES, *META_SUFFIXES))


def read_itk_header(path: Path) -> ItkHeader:
    """Read and check a header, and count the voxels' bytes to the end, in bounded memory.

    Args:
        path: a .nrrd, .mha or .mhd file.

    Raises:
        InputError: no 3D scalar image can be read from it.
    """
    require_readable_name(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}", "check the path")
    try:
        with path.open("rb") as file:
            start = file.read(LARGEST_HEADER_BYTES)
        if not start:
            raise InputError(f"{path} is empty (0 bytes)", "copy or export the file again")
        parse = _nrrd if path.name.lower().endswith(NRRD_SUFFIXES) else _meta
        header, layout = parse(path, start)
        _require_length(path, layout)
    except OSError as error:
        raise InputError(f"can't read {path} ({error.strerror or error})", "check the file's permissions") from error
    return header


def _nrrd(path: Path, start: bytes) -> tuple[ItkHeader, _Layout]:
    if not start.startswith(b"NRRD000"):
        raise InputError(f"{path} is not an NRRD file", "give a .nrrd file")
    text, end = _until_blank_line(path, start)
    fields = {}
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):  # "name:=value" lines are the writer's own
            fields[name.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:
        raise InputError(f"{path} keeps its voxels in another file", "save it as one .nrrd file")
    sizes = _whole(path, "sizes", fields.get("sizes", ""))
    if len(sizes) == 4 and _is_list(fields.get("kinds", ""), fields.get("space directions", "")):
        layers, sizes = sizes[0], sizes[1:]
    else:
        layers = 1
    size = _size(path, sizes)
    kind = fields.get("type", "").lower()
    if kind not in NRRD_BYTES:
        raise InputError(f"{path} has voxels of type {kind!r}", "save one number a voxel: int16 or float32")
    encoding = fields.get("encoding", "").lower()
    if encoding not in NRRD_CODINGS:
        raise InputError(f"{path} has encoding {encoding!r}", "save it with encoding raw or gzip")
    if any(fields.get(name, "0") != "0" for name in ("byte skip", "byteskip", "line skip", "lineskip")):
        raise InputError(f"{path} skips a part of its voxels (byte skip, line skip)", AGAIN)
    needed = layers * math.prod(size) * NRRD_BYTES[kind]
    oriented = "space directions" in fields and ("space" in fields or "space dimension" in fields)
    return ItkHeader(size, layers, oriented, path), _Layout(path, end, NRRD_CODINGS[encoding], needed)


def _is_list(kinds: str, directions: str) -> bool:
    """Whether the first of four axes counts layers, as 3D Slicer writes overlapping segments."""
    return kinds.split()[:1] in (["list"], ["vector"]) or directions.split()[:1] == ["none"]


def _until_blank_line(path: Path, start: bytes) -> tuple[str, int]:
    ends = [(start.find(mark), len(mark)) for mark in (b"\n\n", b"\r\n\r\n")]
    found = [(at, length) for at, length in ends if at >= 0]
    if not found:
        raise InputError(f"{path} is truncated: its header does not end within {len(start)} bytes", "copy it again")
    at, length = min(found)
    return start[:at].decode("utf-8", "replace"), at + length


def _meta(path: Path, start: bytes) -> tuple[ItkHeader, _Layout]:
    fields: dict[str, str] = {}
    at = 0
    while "elementdatafile" not in fields:
        end = start.find(b"\n", at)
        if end < 0:
            what = "is not a MetaImage file" if "dimsize" not in fields else "is truncated"
            raise InputError(f"{path} {what}: its header names no ElementDataFile", "copy or export it again")
        name, _, value = start[at:end].decode("utf-8", "replace").partition("=")
        fields[name.strip().lower()] = value.strip()
        at = end + 1
    sizes = _whole(path, "DimSize", fields.get("dimsize", ""))
    size = _size(path, sizes)
    if fields.get("elementnumberofchannels", "1") != "1":
        channels = fields["elementnumberofchannels"]
        raise InputError(f"{path} has {channels} values a voxel (ElementNumberOfChannels)", "give a grey image")
    kind = fields.get("elementtype", "")
    if kind not in META_BYTES:
        raise InputError(f"{path} has voxels of type {kind!r}", "save one number a voxel: int16 or float32")
    compressed = fields.get("compresseddata", "").lower() in TRUE
    if fields.get("headersize", "0") not in ("0", "-1"):
        raise InputError(f"{path} skips {fields['headersize']} bytes (HeaderSize)", AGAIN)
    data = fields["elementdatafile"]
    needed = math.prod(size) * META_BYTES[kind]
    oriented = any(name in fields for name in ("transformmatrix", "rotation", "orientation"))
    local = data.upper() == "LOCAL"
    holder = path if local else path.parent / data
    if not local and (data != Path(data).name or data.upper() == "LIST" or "%" in data):
        raise InputError(f"{path} keeps its voxels in {data!r}", "save it as one .mha file")
    if not holder.is_file():
        raise InputError(f"{path} keeps its voxels in {data}, which is missing", "copy both files")
    layout = _Layout(holder, at if local else 0, "zlib" if compressed else "raw", needed)
    if compressed:
        # MetaIO decodes as many bytes as the header says; without a number it returns uninitialised memory.
        said, there = fields.get("compresseddatasize", "none"), holder.stat().st_size - layout.offset
        if said != str(there):
            raise InputError(
                f"{path} has {there} compressed bytes, and its header says {said}", "copy or export it again"
            )
    return ItkHeader(size, 1, oriented, holder), layout


def _whole(path: Path, name: str, text: str) -> list[int]:
    parts = text.split()
    if not parts or not all(part.isdecimal() and len(part) < 19 for part in parts):
        raise InputError(f"{path} has {name} {text!r:.80}", AGAIN)
    return [int(part) for part in parts]


def _size(path: Path, sizes: list[int]) -> tuple[int, int, int]:
    """One 3D image's size, or an InputError for anything else."""
    if len(sizes) > MOST_AXES:
        raise InputError(f"{path} claims {len(sizes)} axes", AGAIN)
    text = " x ".join(map(str, sizes))
    if len(sizes) < 3:
        raise InputError(f"{path} is a {len(sizes)}D image ({text})", "give a 3D scan in one file")
    if min(sizes) < 1:
        raise InputError(f"{path} claims a size of {text}", AGAIN)
    if math.prod(sizes) > LARGEST_VOXEL_COUNT:
        raise InputError(
            f"{path} claims {text} = {math.prod(sizes)} voxels, more than {LARGEST_VOXEL_COUNT}",
            "fix the size in the header, or crop the scan",
        )
    if len(sizes) > 3:
        raise InputError(
            f"{path} holds {math.prod(sizes[3:])} volumes or has several values a voxel ({text})",
            "save one grey volume as a file of its own",
        )
    return sizes[0], sizes[1], sizes[2]


def _require_length(path: Path, layout: _Layout) -> None:
    found = 0
    try:
        for count in _decoded(layout):
            found += count
            if found > layout.needed + TOLERATED_EXTRA_BYTES:  # no further: a bomb
                raise InputError(
                    f"{path} is longer than the {layout.needed} bytes that its header claims",
                    "fix the size in the header, or export the scan again",
                )
    except zlib.error as error:
        raise InputError(
            f"{path} is damaged: its {layout.coding} stream ends after {found} of {layout.needed} bytes",
            "copy or download it again",
        ) from error
    if found < layout.needed:
        raise InputError(f"{path} is truncated: {found} of {layout.needed} bytes of voxels", "copy it again")


def _decoded(layout: _Layout) -> Iterator[int]:
    """Number of bytes that each chunk of the voxels decodes to; a truncated stream just ends."""
    with layout.path.open("rb") as file:
        file.seek(layout.offset)
        if layout.coding == "raw":
            yield layout.path.stat().st_size - layout.offset
            return
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS if layout.coding == "gzip" else zlib.MAX_WBITS)
        while not stream.eof and (chunk := file.read(CHUNK_BYTES)):
            while chunk:
                yield len(stream.decompress(chunk, CHUNK_BYTES))
                chunk = stream.unconsumed_tail
