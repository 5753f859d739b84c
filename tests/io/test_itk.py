"""NRRD and MetaImage files, as SimpleITK writes them and as they are damaged."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from psmnet.errors import InputError
from psmnet.io import read_labels, read_lattice, read_volume, write_volume
from psmnet.io.itk_header import TOLERATED_EXTRA_BYTES, read_itk_header
from psmnet.volume.volume import Volume

TURNED = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])


def drawn(kind: type = np.int16) -> Volume:
    array = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(kind)
    return Volume(array, (1.5, 2.0, 5.0), (-20.0, 30.0, 7.5), TURNED)


def written(volume: Volume, path: Path, *, compressed: bool = True) -> Path:
    image = sitk.GetImageFromArray(volume.array_zyx)
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(volume.origin_mm)
    image.SetDirection(volume.direction.ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=compressed)
    return path


def nrrd(folder: Path, *, data: bytes | None = None, name: str = "scan.nrrd", **changes: str | None) -> Path:
    """A header of our own with fields replaced, or left out where None; raw int16 voxels."""
    fields: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 4 3",
        "space directions": "(1,0,0) (0,1,0) (0,0,2)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
    } | {key.replace("_", " "): value for key, value in changes.items()}
    lines = ["NRRD0004", "# a comment: with a colon", *(f"{k}: {v}" for k, v in fields.items() if v is not None)]
    body = drawn().array_zyx.tobytes() if data is None else data
    path = folder / name
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + body)
    return path


def mha(folder: Path, *, data: bytes | None = None, name: str = "scan.mha", **changes: str | None) -> Path:
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "1 1 2",
        "DimSize": "5 4 3",
        "ElementType": "MET_SHORT",
    } | changes
    data_file = fields.pop("ElementDataFile", "LOCAL")
    body = drawn().array_zyx.tobytes() if data is None else data
    if fields["CompressedData"] == "True":
        fields.setdefault("CompressedDataSize", str(len(body)))
    lines = [*(f"{k} = {v}" for k, v in fields.items() if v is not None), f"ElementDataFile = {data_file}"]
    path = folder / name
    path.write_bytes("\n".join(lines).encode() + b"\n" + body)
    return path


# ---- what is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".NRRD"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_scans_come_back_with_their_place(tmp_path, suffix, compressed, kind):
    path = written(drawn(kind), tmp_path / f"scan{suffix}", compressed=compressed)
    notes: list[str] = []
    found = read_volume(path, notes=notes)
    assert np.array_equal(found.array_zyx, drawn().array_zyx)
    assert found.array_zyx.dtype == kind
    assert np.allclose(found.affine, drawn().affine)
    assert notes == []
    lattice = read_lattice(path)
    assert lattice.array_zyx.shape == (3, 4, 5)
    assert np.allclose(lattice.affine, drawn().affine)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_label_maps_take_the_smallest_type(tmp_path, suffix):
    path = written(drawn(np.float64), tmp_path / f"labels{suffix}")
    assert read_labels(path).array_zyx.dtype == np.uint8


def test_scans_are_written_as_nrrd(tmp_path):
    write_volume(drawn(), tmp_path / "new" / "scan.nrrd")
    assert b"encoding: gzip" in (tmp_path / "new" / "scan.nrrd").read_bytes()
    found = read_volume(tmp_path / "new" / "scan.nrrd")
    assert np.array_equal(found.array_zyx, drawn().array_zyx)
    assert np.allclose(found.affine, drawn().affine)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scan.nrrd"]


def test_our_own_headers_are_what_simpleitk_takes(tmp_path):
    """Else the damaged ones below would prove nothing."""
    for path in (nrrd(tmp_path), mha(tmp_path)):
        assert np.array_equal(read_volume(path).array_zyx, drawn().array_zyx)


@pytest.mark.parametrize("path", ["nrrd", "mha"])
def test_a_scan_without_orientation_says_so(tmp_path, path):
    notes: list[str] = []
    if path == "nrrd":
        changes = {"space": None, "space_directions": None, "space_origin": None, "spacings": "1 1 2"}
        read_volume(nrrd(tmp_path, **changes), notes=notes)
    else:
        read_volume(mha(tmp_path, TransformMatrix=None), notes=notes)
    (note,) = notes
    assert "stores no orientation" in note


def test_values_that_are_not_finite_take_the_smallest(tmp_path):
    array = drawn(np.float32).array_zyx.copy()
    array[0, 0, 0] = np.nan
    notes: list[str] = []
    found = read_volume(written(drawn().with_array(array), tmp_path / "scan.nrrd"), notes=notes)
    assert found.array_zyx[0, 0, 0] == 1
    assert "1 of 60 voxels are not finite" in notes[0]


# ---- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": "5 4"}, "is a 2D image (5 x 4)"),
        ({"sizes": "5 4 0"}, "claims a size of 5 x 4 0".replace("4 0", "4 x 0")),
        ({"sizes": "-5 4 3"}, "has sizes '-5 4 3'"),
        ({"sizes": None}, "has sizes ''"),
        ({"sizes": "5 4 3 2", "kinds": "domain domain domain list"}, "(5 x 4 x 3 x 2)"),
        ({"sizes": "50000 50000 50000"}, "more than 4000000000"),
        ({"sizes": "5 4 4"}, "is truncated: 120 of 160 bytes"),
        ({"type": "block"}, "voxels of type 'block'"),
        ({"encoding": "ascii"}, "encoding 'ascii'"),
        ({"encoding": "gzip"}, "is damaged: its gzip stream ends after 0 of 120 bytes"),
        ({"data_file": "scan.raw"}, "keeps its voxels in another file"),
        ({"byte_skip": "-1"}, "skips a part of its voxels"),
        ({"sizes": "3 5 4 3", "space_directions": "none (1,0,0) (0,1,0) (0,0,2)", "type": "uchar"}, "truncated"),
    ],
)
def test_nrrd_headers_that_can_not_be(tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        read_volume(nrrd(tmp_path, **changes))
    assert message in str(caught.value)
    assert "scan.nrrd" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DimSize": "5 4"}, "is a 2D image (5 x 4)"),
        ({"DimSize": "5 4 x"}, "has DimSize '5 4 x'"),
        ({"DimSize": "5 4 3 2"}, "holds 2 volumes"),
        ({"DimSize": "50000 50000 50000"}, "more than 4000000000"),
        ({"DimSize": "5 4 4"}, "is truncated: 120 of 160 bytes"),
        ({"ElementType": "MET_OTHER"}, "voxels of type 'MET_OTHER'"),
        ({"ElementNumberOfChannels": "3"}, "has 3 values a voxel"),
        ({"CompressedData": "True"}, "is damaged: its zlib stream ends after 0 of 120 bytes"),
        ({"CompressedData": "True", "CompressedDataSize": None}, "has 120 compressed bytes, and its header says none"),
        ({"CompressedData": "True", "CompressedDataSize": "60"}, "has 120 compressed bytes, and its header says 60"),
        ({"HeaderSize": "348"}, "skips 348 bytes"),
        ({"ElementDataFile": "LIST"}, "keeps its voxels in 'LIST'"),
        ({"ElementDataFile": "../secret.raw"}, "keeps its voxels in '../secret.raw'"),
        ({"ElementDataFile": "gone.raw"}, "keeps its voxels in gone.raw, which is missing"),
    ],
)
def test_metaimage_headers_that_can_not_be(tmp_path, changes, message):
    with pytest.raises(InputError) as caught:
        read_volume(mha(tmp_path, **changes))
    assert message in str(caught.value)
    assert "scan.mha" in str(caught.value)


@pytest.mark.parametrize(("make", "compress"), [(nrrd, gzip.compress), (mha, zlib.compress)])
def test_streams_that_are_cut_off_or_go_on(tmp_path, make, compress):
    said = {"encoding": "gzip"} if make is nrrd else {"CompressedData": "True"}
    whole = compress(drawn().array_zyx.tobytes())
    assert np.array_equal(read_volume(make(tmp_path, data=whole, **said)).array_zyx, drawn().array_zyx)
    with pytest.raises(InputError, match=r"is truncated: .* of 120 bytes"):
        read_volume(make(tmp_path, data=whole[: len(whole) // 2], **said))
    bomb = compress(bytes(120 + 2 * TOLERATED_EXTRA_BYTES))
    with pytest.raises(InputError, match="is longer than the 120 bytes"):
        read_volume(make(tmp_path, data=bomb, **said))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.nrrd", b"", "is empty (0 bytes)"),
        ("a.nrrd", b"\x93NUMPY", "is not an NRRD file"),
        ("a.nrrd", b"NRRD0004\ntype: short\n", "its header does not end"),
        ("a.mha", b"\x00" * 100, "is not a MetaImage file"),
        ("a.mha", b"DimSize = 5 4 3\n", "is truncated: its header names no ElementDataFile"),
    ],
)
def test_files_of_another_kind(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_itk_header(tmp_path / name)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_volume(tmp_path / "gone.nrrd")
    (tmp_path / "folder.nrrd").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_volume(tmp_path / "folder.nrrd")


def test_vectors_are_no_scan(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 2), np.uint8), isVector=True)
    for suffix, message in ((".nrrd", "layers|values a voxel"), (".mha", "2 values a voxel")):
        sitk.WriteImage(image, str(tmp_path / f"colour{suffix}"))
        with pytest.raises(InputError, match=message):
            read_volume(tmp_path / f"colour{suffix}")
