from pathlib import Path

import numpy as np
import pydicom
import pytest

from helpers.dicom_files import write_series, write_slice
from psmnet.errors import InputError
from psmnet.io import read_scan, write_volume
from psmnet.io.dicom_folder import find_series, holds_dicom, read_dicom_folder
from psmnet.volume.volume import Volume


def drawn(slices: int, start: int = 0) -> np.ndarray:
    return (np.arange(slices * 4 * 5) + start).reshape(slices, 4, 5).astype(np.int16)


def series(folder: Path, slices: int, name: str, **options) -> None:
    for index, stored in enumerate(drawn(slices)):
        write_slice(folder / f"{name}{index}.dcm", stored, position_mm=(0, 0, 3 * index), series=name, **options)


def test_a_folder_with_one_series_is_a_scan(tmp_path):
    series(tmp_path, 6, "a")
    notes: list[str] = []
    scan = read_scan(tmp_path, notes=notes)
    assert np.array_equal(scan.volume.array_zyx, drawn(6))
    assert (scan.modality, len(scan.slices), notes) == ("MR", 6, [])


def test_slices_that_each_have_a_uid_are_one_series(tmp_path):
    write_series(tmp_path, drawn(6), spacing_mm=(1, 1, 3), shuffle=1)
    (found,) = find_series(tmp_path)
    assert (found.uid, len(found.files)) == ("", 6)
    assert np.array_equal(read_dicom_folder(tmp_path).volume.array_zyx, drawn(6))


def test_slices_without_uids_are_one_series(tmp_path):
    series(tmp_path, 4, "a", uids=False)
    (found,) = find_series(tmp_path)
    assert (found.uid, len(found.files)) == ("", 4)


def test_the_largest_series_is_taken_and_said(tmp_path):
    series(tmp_path, 3, "scout")
    series(tmp_path, 6, "abdomen", modality="CT")
    notes: list[str] = []
    found = read_dicom_folder(tmp_path, notes=notes)
    assert (len(found.files), found.modality) == (6, "CT")
    (note,) = notes
    taken, left = find_series(tmp_path)
    assert f"series {taken.uid} (CT, 6 files) is used, the largest; not read: {left.uid} (MR, 3 files)" in note


def test_a_series_is_chosen_by_its_uid(tmp_path):
    series(tmp_path, 3, "scout")
    series(tmp_path, 6, "abdomen")
    small = find_series(tmp_path)[1]
    notes: list[str] = []
    assert len(read_dicom_folder(tmp_path, uids=[small.uid, "1.2"], notes=notes).files) == 3
    assert notes == []
    assert len(read_dicom_folder(tmp_path, uids=["1.2"], notes=notes).files) == 6
    assert "none of the requested series is there" in notes[0]
    with pytest.raises(InputError, match="holds 2 of the requested series; request one of"):
        read_dicom_folder(tmp_path, uids=[one.uid for one in find_series(tmp_path)])


def test_a_series_named_elsewhere_is_said_to_be_missing(tmp_path):
    series(tmp_path, 3, "a")
    notes: list[str] = []
    assert len(read_dicom_folder(tmp_path, uids=["1.2"], notes=notes).files) == 3
    assert "none of the requested series is there" in notes[0]


def test_two_that_are_largest_have_to_be_named(tmp_path):
    series(tmp_path, 3, "a")
    series(tmp_path, 3, "b")
    with pytest.raises(InputError, match=r"holds 2 series, none larger than all others; request one of .* files"):
        read_dicom_folder(tmp_path)


def test_other_files_are_left_out(tmp_path):
    series(tmp_path, 4, "a")
    (tmp_path / "notes.txt").write_text("not a slice")
    (tmp_path / "DICOMDIR").write_bytes((tmp_path / "a0.dcm").read_bytes())
    (tmp_path / ".hidden.dcm").write_bytes((tmp_path / "a0.dcm").read_bytes())
    report = write_slice(tmp_path / "report.dcm", drawn(1)[0], series="report", Rows=None, PixelData=None)
    segmentation = write_slice(tmp_path / "a_seg.dcm", drawn(1)[0], series="seg")
    kinds = {report: pydicom.uid.BasicTextSRStorage, segmentation: pydicom.uid.SegmentationStorage}
    for path, kind in kinds.items():
        tags = pydicom.dcmread(path)
        tags.SOPClassUID = tags.file_meta.MediaStorageSOPClassUID = kind
        tags.save_as(path)
    (tmp_path / "deeper").mkdir()
    assert len(read_dicom_folder(tmp_path).files) == 4


def test_folders_without_images_are_no_scan(tmp_path):
    (tmp_path / "notes.txt").write_text("no slice")
    assert not holds_dicom(tmp_path)
    with pytest.raises(InputError, match="holds no DICOM image"):
        read_scan(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    series(tmp_path, 4, "a")
    assert holds_dicom(tmp_path)
    content = (tmp_path / "a2.dcm").read_bytes()
    (tmp_path / "a2.dcm").write_bytes(content[:160])
    with pytest.raises(InputError, match=r"a2\.dcm"):
        read_scan(tmp_path)


def test_one_file_is_no_scan(tmp_path):
    series(tmp_path, 4, "a")
    with pytest.raises(InputError, match=r"a0\.dcm is one DICOM file; give the folder"):
        read_scan(tmp_path / "a0.dcm")


def test_other_formats_are_read_as_ever(tmp_path):
    write_volume(Volume(drawn(3)), tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")
    assert np.array_equal(scan.volume.array_zyx, drawn(3))
    assert (scan.slices, scan.modality) == ((), "")
