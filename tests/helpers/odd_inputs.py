"""Five hundred queries that are damaged or odd, each with what is to come of it: drawn here, run by test_odd_inputs."""

import gzip
import random
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import dcmread, uid

from helpers.dicom_files import write_series, write_slice
from helpers.nifti_bytes import Nifti
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume
from psmnet.volume.volume import Volume

SHAPE, SPACING = (12, 64, 64), (5.0, 5.0, 12.0)
PIXDIM = (1, *SPACING, 1, 1, 1, 1)
BOMB_BYTES = 1 << 31
NAMES = (
    *("two words", "пациент", "a'b", 'a"b', "a&b", "a;b", "$(echo a)", "a#b", "a%20b", "a,b", "(a)", "a=b", "a+b"),
    *("a.b.c", "\uff21", "a\u0301", "🫀", "_", "a" * 200, "[a]", "~a", "a`b", "a|b", "{a}", "@a", "!a", "a^b"),
)


@dataclass(frozen=True)
class Odd:
    """A query.

    Attributes:
        kind: what is odd.
        path: file or folder.
        expected: "refused", "same" as the sound scan's mask, or "either": one clear line, or a mask.
    """

    kind: str
    path: Path
    expected: str


def sound() -> Volume:
    """The scan that all of them were before."""
    image, _ = draw_patient(2, shape_zyx=SHAPE, spacing_mm=SPACING)
    return image.with_array(np.rint(image.array_zyx * 10).astype(np.int16))


def nifti(array: np.ndarray) -> Nifti:
    """At the sound scan's place: RAS in the file, LPS in the patient."""
    scan = sound()
    x, y, z = scan.origin_mm
    assert np.array_equal(scan.direction, np.eye(3))
    return Nifti(array, pixdim=(1, *SPACING, 1, 1, 1, 1), qform=(0, 0, 1, -x, -y, z))


def draw(folder: Path) -> Iterator[Odd]:
    """Write them all, one after another."""
    chance = random.Random(11)
    scan = sound()
    array = scan.array_zyx
    base = nifti(array)
    count = 0

    def place(name: str = "scan.nii.gz") -> Path:
        nonlocal count
        count += 1
        target = folder / f"{count:03d}" / name
        target.parent.mkdir(parents=True)
        return target

    def as_nifti(kind: str, expected: str, made: Nifti, name: str = "scan.nii.gz") -> Odd:
        return Odd(kind, made.write(place(name)), expected)

    def raw(kind: str, expected: str, content: bytes, name: str = "scan.nii.gz") -> Odd:
        path = place(name)
        path.write_bytes(content)
        return Odd(kind, path, expected)

    def flipped(content: bytes, first: int, last: int, bits: int = 1) -> bytes:
        changed = bytearray(content)
        for _ in range(bits):
            changed[chance.randrange(first, last)] ^= 1 << chance.randrange(8)
        return bytes(changed)

    plain, packed = base.content(), gzip.compress(base.content(), 1)
    yield as_nifti("sound", "same", base)
    # ---- NIfTI: bytes
    for _ in range(25):
        yield raw("truncated .nii", "refused", plain[: chance.randrange(1, len(plain))], "scan.nii")
        yield raw("truncated .nii.gz", "refused", packed[: chance.randrange(1, len(packed) - 8)])
    for _ in range(40):
        yield raw("a bit of the header flipped", "either", flipped(plain, 0, 348), "scan.nii")
    for _ in range(10):
        yield raw("many bits of the header flipped", "either", flipped(plain, 0, 348, 40), "scan.nii")
    for _ in range(25):
        yield raw("a bit of the stream flipped", "either", flipped(packed, 20, len(packed)))
    for size in (1, 10, 100, 348, 352, 1000):
        yield raw("noise", "refused", chance.randbytes(size), "scan.nii")
        yield raw("noise, packed", "refused", gzip.compress(chance.randbytes(size)))
    for name in ("scan.nii", "scan.nii.gz", "scan.nrrd", "scan.mha", "scan.mhd"):
        yield raw("empty", "refused", b"", name)
    yield raw("an empty stream", "refused", gzip.compress(b""))
    yield raw("plain but called .gz", "same", plain)
    yield raw("packed but called .nii", "same", packed, "scan.nii")
    for magic in (b"ni1\0", b"n+3\0", b"\0\0\0\0", b"abcd"):
        yield as_nifti("wrong magic", "refused", replace(base, magic=magic))
    # ---- NIfTI: what the header claims
    for at in (1, 2, 3):
        for spacing in (0.0, float("nan"), float("inf"), 1e-12, 1e12):
            pixdim = list(PIXDIM)
            pixdim[at] = spacing
            yield as_nifti(f"spacing {spacing:g}", "either", replace(base, pixdim=tuple(pixdim)))
        pixdim = list(PIXDIM)
        pixdim[at] *= -1
        yield as_nifti("negative spacing", "either", replace(base, pixdim=tuple(pixdim)))
    for dims in (
        *((3, 32767, 32767, 32767, 1, 1, 1, 1), (3, 64, 64, 32767, 1, 1, 1, 1), (3, 64, 64, 13, 1, 1, 1, 1)),
        *((3, 64, 64, 0, 1, 1, 1, 1), (3, 64, -64, 12, 1, 1, 1, 1), (0, 64, 64, 12, 1, 1, 1, 1)),
        *((8, 64, 64, 12, 1, 1, 1, 1), (-1, 64, 64, 12, 1, 1, 1, 1)),
        *((2, 64, 768, 1, 1, 1, 1, 1), (1, 30000, 1, 1, 1, 1, 1, 1), (7, 64, 64, 12, 32767, 32767, 1, 1)),
    ):
        yield as_nifti(f"dim {dims}", "refused", replace(base, dim=dims))
        yield as_nifti(f"dim {dims}, .nii", "refused", replace(base, dim=dims), "scan.nii")
    yield as_nifti("a slice more than the header claims", "either", replace(base, dim=(3, 64, 64, 11, 1, 1, 1, 1)))
    yield as_nifti("4D of one volume", "same", replace(base, dim=(4, 64, 64, 12, 1, 1, 1, 1)))
    yield as_nifti("5D of one volume", "same", replace(base, dim=(5, 64, 64, 12, 1, 1, 1, 1)))
    for volumes in (2, 3, 4, 6):
        yield as_nifti("4D", "refused", replace(base, dim=(4, 64, 64, 12 // volumes, volumes, 1, 1, 1)))
    for code in (0, 1, 3, 5, 32, 128, 1536, 1792, 2048, 2304, -1, 999):
        yield as_nifti(f"datatype {code}", "refused", replace(base, datatype=code))
    for offset in (0.0, -1.0, 351.5, 1e9, float("nan")):
        yield as_nifti(f"voxels at {offset}", "either", replace(base, voxel_offset=offset))
    for slope, intercept in ((0, 0), (float("nan"), 0), (1, float("inf")), (1e30, 0), (-1, 0), (1e-30, 5)):
        yield as_nifti(
            f"slope {slope:g}, intercept {intercept:g}", "either", replace(base, slope=slope, intercept=intercept)
        )
    # ---- NIfTI: where it lies
    singular = ((0,) * 12, (5, 0, 0, 1, 5, 0, 0, 1, 0, 0, 12, 1), (5, 0, 0, 1, 0, 0, 0, 1, 0, 0, 12, 1))
    sheared = ((5, 1, 0, 1, 0, 5, 0, 1, 0, 0, 12, 1), (5, 0, 4, 1, 0, 5, 4, 1, 0, 0, 12, 1))
    odd_affines = [*singular, *sheared, (float("nan"),) * 12, (1e20,) * 12]
    for sform in odd_affines:
        for qcode in (0, 1):
            made = replace(base, sform=sform, sform_code=1, qform_code=qcode)
            yield as_nifti("affine that is none", "either", made)
    yield as_nifti("no orientation", "either", replace(base, qform_code=0))
    for qform in ((2, 0, 0, 1, 1, 1), (float("nan"),) * 6, (0.9, 0.9, 0.9, 0, 0, 0), (0, 0, 0, 1e30, 0, 0)):
        yield as_nifti("quaternion that is none", "either", replace(base, qform=qform))
    for shift in (0.001, 1.0, 100.0):
        sform = (5, 0, 0, shift, 0, 5, 0, shift, 0, 0, 12, shift)
        yield as_nifti("qform against sform", "either", replace(base, sform=sform, sform_code=2))
    # ---- NIfTI: voxels
    for kind in ("i2", "i4", "f4", "f8", "u2", "u4", "i8", "u8"):
        for order in "<>":
            shown = array.astype(kind)
            yield as_nifti(f"{kind} {order}", "same", replace(base, array_zyx=shown, order=order))
    for version in (1, 2):
        for order in "<>":
            yield as_nifti(f"NIfTI-{version} {order}", "same", replace(base, version=version, order=order))
    floats = array.astype("f4")
    for fill in (float("nan"), float("inf"), float("-inf"), 3e38, -3e38):
        for part in (1, 8, 32):
            shown = floats.copy()
            shown[:, :part] = fill
            yield as_nifti(f"{fill:g} in a part", "either", replace(base, array_zyx=shown))
        yield as_nifti(f"all {fill:g}", "refused", replace(base, array_zyx=np.full_like(floats, fill)))
    big = array.astype("f8")
    big[0, 0, 0] = 1e300
    yield as_nifti("1e300 in a voxel", "either", replace(base, array_zyx=big))
    for constant in (0, 7):
        yield as_nifti("constant", "refused", replace(base, array_zyx=np.full_like(array, constant)))
    for shape in ((1, 64, 64), (12, 1, 64), (12, 64, 1), (1, 1, 64), (2, 2, 2), (1, 1, 1)):
        shown = np.arange(np.prod(shape), dtype="i2").reshape(shape)
        yield as_nifti(f"of size {shape}", "either", nifti(shown))
    # ---- lies and bombs
    for claimed in (120, 12):
        head = replace(base, dim=(3, 64, 64, claimed, 1, 1, 1, 1)).header()
        bomb = place()
        with gzip.open(bomb, "wb", compresslevel=1) as stream:
            stream.write(head)
            for _ in range(BOMB_BYTES >> 24):
                stream.write(bytes(1 << 24))
        yield Odd("gzip bomb", bomb, "refused")
    # ---- names, links, folders
    for name in NAMES:
        yield as_nifti("unusual name", "same", base, f"{name}.nii.gz")
    target = base.write(place())
    for name in ("link.nii.gz", "link of link.nii.gz"):
        link = place(name)
        link.symlink_to(target)
        yield Odd("symlink", link, "same")
        target = link
    gone = place("gone.nii.gz")
    gone.symlink_to(folder / "nowhere.nii.gz")
    yield Odd("symlink to nothing", gone, "refused")
    loop = place("loop.nii.gz")
    loop.symlink_to(loop)
    yield Odd("symlink to itself", loop, "refused")
    for name in ("folder.nii.gz", "folder"):
        empty = place(name)
        empty.mkdir()
        yield Odd("empty folder", empty, "refused")
    for name in ("scan.txt", "scan.png", "scan", "scan.img", "scan.hdr", "scan.json"):
        yield raw("another kind of file", "refused", plain, name)
    # ---- NRRD and MetaImage
    for suffix in (".nrrd", ".mha", ".mhd"):
        whole = place(f"scan{suffix}")
        if suffix == ".nrrd":
            write_volume(scan, whole)
        else:
            lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
            x, y, z = scan.origin_mm
            lines += ["TransformMatrix = 1 0 0 0 1 0 0 0 1", f"Offset = {x} {y} {z}", "ElementSpacing = 5 5 12"]
            lines += ["DimSize = 64 64 12", "ElementType = MET_SHORT"]
            data = "LOCAL" if suffix == ".mha" else "scan.raw"
            content = ("\n".join(lines) + f"\nElementDataFile = {data}\n").encode()
            if suffix == ".mha":
                content += array.tobytes()
            else:
                whole.with_name("scan.raw").write_bytes(array.tobytes())
            whole.write_bytes(content)
        content = whole.read_bytes()
        yield Odd(f"sound {suffix}", whole, "same")
        head = content.index(b"\n\n") if suffix == ".nrrd" else content.index(b"ElementDataFile")
        for _ in range(8):
            if suffix != ".mhd":
                cut = content[: chance.randrange(1, len(content) - 8)]
                yield raw(f"truncated {suffix}", "refused", cut, f"scan{suffix}")
        for _ in range(15):
            path = place(f"scan{suffix}")
            path.write_bytes(flipped(content, 0, head))
            if suffix == ".mhd":
                path.with_name("scan.raw").write_bytes(array.tobytes())
            yield Odd(f"a bit of the header flipped, {suffix}", path, "either")
    yield raw(".mhd without its voxels", "refused", content, "scan.mhd")
    # ---- DICOM
    stored = {"spacing_mm": SPACING, "origin_mm": scan.origin_mm}
    for syntax in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless):
        slices = place("slices")
        write_series(slices, array, syntax=syntax, **stored)  # type: ignore[arg-type]
        yield Odd(f"DICOM, {syntax.name}", slices, "same")
    shuffled = place("slices")
    write_series(shuffled, array, shuffle=3, SliceThickness="99", **stored)  # type: ignore[arg-type]
    yield Odd("DICOM, shuffled, SliceThickness unlike the positions", shuffled, "same")
    for number in range(12):
        slices = place("slices")
        files = write_series(slices, array, **stored)  # type: ignore[arg-type]
        match number % 6:
            case 0:
                files[chance.randrange(2, 10)].unlink()
                yield Odd("DICOM, a slice is missing", slices, "either")
            case 1:
                shutil.copy(files[chance.randrange(12)], slices / "again.dcm")
                yield Odd("DICOM, a slice is there twice", slices, "either")
            case 2:
                x, y, z = scan.origin_mm
                write_slice(slices / "other.dcm", array[3] + 1, position_mm=(x, y, z + 36))
                yield Odd("DICOM, two images at a position", slices, "either")
            case 3:
                write_series(slices, array[:5], names="B-{}.dcm", one_series_per_slice=False, **stored)  # type: ignore[arg-type]
                yield Odd("DICOM, mixed series", slices, "either")
            case 4:
                tags = dcmread(files[chance.randrange(12)])
                del tags.PixelData
                tags.save_as(files[0])
                yield Odd("DICOM, a slice without pixels", slices, "either")
            case _:
                tags = dcmread(files[5])
                tags.ImagePositionPatient = ["0", "0", "1000"]
                tags.save_as(files[5])
                yield Odd("DICOM, a slice far away", slices, "refused")
    for number in range(20):
        slices = place("slices")
        files = write_series(slices, array, **stored)  # type: ignore[arg-type]
        one = chance.choice(files)
        content = one.read_bytes()
        if number % 2:
            one.write_bytes(content[: chance.randrange(1, len(content) - 1)])
        else:
            one.write_bytes(flipped(content, 132, 1000, 3))
        yield Odd("DICOM, a damaged slice", slices, "either")
    tilted = np.eye(3)
    tilted[:, 2] = (0, np.sin(0.3), np.cos(0.3))
    slices = place("slices")
    write_series(slices, array, direction=tilted, **stored)  # type: ignore[arg-type]
    yield Odd("DICOM, gantry tilt", slices, "either")
    frames = place("frames")
    write_slice(frames / "a.dcm", array[0], NumberOfFrames=12, position_mm=scan.origin_mm)
    yield Odd("DICOM, frames that are not there", frames, "refused")
    colour = place("colour")
    write_slice(colour / "a.dcm", array[0], SamplesPerPixel=3, PhotometricInterpretation="RGB")
    yield Odd("DICOM, colour", colour, "refused")
    for text in ("", "0\\0\\0", "1\\0\\0\\1\\0\\0"):
        slices = place("slices")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom knows that it is wrong
            write_series(slices, array, ImageOrientationPatient=text.split("\\") if text else None, **stored)  # type: ignore[arg-type]
        yield Odd("DICOM, orientation that is none", slices, "refused")
    lone = place("slice.dcm")
    write_slice(lone, array[0])
    yield Odd("one DICOM file", lone, "refused")
    # ---- what is left of five hundred: bits flipped anywhere
    while count < 505:
        yield raw("a bit flipped anywhere", "either", flipped(plain, 0, len(plain)), "scan.nii")
