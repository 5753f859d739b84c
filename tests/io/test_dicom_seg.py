import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from helpers.dicom_files import write_series
from psmnet.errors import InputError
from psmnet.io import read_scan
from psmnet.io.dicom_seg import is_dicom_seg, read_dicom_seg, write_dicom_seg
from psmnet.io.files import Scan
from psmnet.io.organ_names import OrganName
from psmnet.volume.geometry import align_labels

pytest.importorskip("highdicom")

NAMES = {3: OrganName("liver", "10200004"), 300: OrganName("a lump"), 7: OrganName("never there")}
TURNED = np.array([[0.0, 0.8, -0.6], [1.0, 0.0, 0.0], [0.0, -0.6, -0.8]])  # right-handed
STUDY = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5"}


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    stored = np.arange(6 * 8 * 10).reshape(6, 8, 10).astype(np.int16)
    where = {"spacing_mm": (1.5, 2.0, 4.0), "origin_mm": (10.0, -20.0, 30.0), "direction": TURNED}
    write_series(tmp_path / "scan", stored, shuffle=3, **where, **STUDY)
    return read_scan(tmp_path / "scan")


def drawn(scan: Scan) -> np.ndarray:
    labels = np.zeros(scan.volume.array_zyx.shape, dtype=np.uint16)
    labels[1:4, 2:6, 3:8] = 3
    labels[3:5, 1:3, 0:2] = 300
    return labels


def test_what_is_written_comes_back(scan, tmp_path):
    labels = drawn(scan)
    path = tmp_path / "new" / "mask_seg.dcm"
    write_dicom_seg(scan.volume.with_array(labels), scan.slices, NAMES, path)
    assert is_dicom_seg(path)
    assert not is_dicom_seg(scan.slices[0])
    assert [file.name for file in path.parent.iterdir()] == ["mask_seg.dcm"]
    found = read_dicom_seg(path)
    assert found.names == {1: NAMES[3], 2: NAMES[300]}
    assert found.notes == ()
    laid = align_labels(scan.volume, found.volume)
    assert np.array_equal(laid.array_zyx, np.select([labels == 3, labels == 300], [1, 2]))


def test_it_refers_to_the_slices_and_says_who_made_it(scan, tmp_path):
    path = tmp_path / "mask_seg.dcm"
    write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, path)
    tags = pydicom.dcmread(path)
    source = pydicom.dcmread(scan.slices[0])
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert tags[keyword].value == source[keyword].value
    assert tags.SeriesInstanceUID != source.SeriesInstanceUID
    assert (tags.Manufacturer, tags.Modality) == ("psmnet", "SEG")
    referenced = {item.ReferencedSOPInstanceUID for item in tags.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == {pydicom.dcmread(file).SOPInstanceUID for file in scan.slices}
    liver, lump = tags.SegmentSequence
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    assert lump.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Anatomical Structure"
    assert [segment.SegmentLabel for segment in tags.SegmentSequence] == ["liver", "a lump"]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
def test_slices_without_uids_can_not_be_referred_to(scan, tmp_path, keyword):
    for file in scan.slices[1:]:
        tags = pydicom.dcmread(file)
        del tags[keyword]
        tags.save_as(file)
    lacking = scan.slices[1]  # the first has all
    with pytest.raises(InputError, match=rf"can't write a\.dcm: {lacking.name} has no {keyword}; use the NIfTI mask"):
        write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


def changed(file: Path, **tags: object) -> None:
    dataset = pydicom.dcmread(file)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)


def test_slices_of_several_series_can_not_be_referred_to(scan, tmp_path):
    """CHAOS gives every slice a series of its own."""
    for number, file in enumerate(scan.slices):
        changed(file, SeriesInstanceUID=f"1.2.3.4.{number}")
    with pytest.raises(InputError, match=r"a\.dcm: its slices have 6 values of SeriesInstanceUID; use the NIfTI mask"):
        write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")


def test_what_highdicom_refuses_is_told_in_one_line(scan, tmp_path):
    changed(scan.slices[2], ImageOrientationPatient=[1, 0, 0, 0, 2, 0])
    with pytest.raises(InputError, match=r"can't write a\.dcm for these slices \(.+\); use the NIfTI mask"):
        write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


def test_slices_need_not_say_whose_they_are(scan, tmp_path):
    """Anonymisers take out what the standard only lets be empty."""
    for file in scan.slices:
        dataset = pydicom.dcmread(file)
        del dataset.PatientName, dataset.PatientID
        dataset.save_as(file)
    write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")
    tags = pydicom.dcmread(tmp_path / "a.dcm")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate"):
        assert not tags[keyword].value
    assert (tags.SeriesDescription, tags.Manufacturer) == ("psmnet segmentation", "psmnet")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs Debian's dicom3tools")
def test_a_validator_finds_no_error(scan, tmp_path):
    write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")
    said = subprocess.run(["dciodvfy", tmp_path / "a.dcm"], capture_output=True, text=True, check=False).stderr
    assert "Segmentation" in said
    assert not [line for line in said.splitlines() if line.startswith("Error")]


def test_an_empty_label_map_is_no_segmentation(scan, tmp_path):
    with pytest.raises(InputError, match="it has 0 labels"):
        write_dicom_seg(scan.volume.with_array(drawn(scan) * 0), scan.slices, NAMES, tmp_path / "a.dcm")


def test_what_is_there_is_not_replaced_unasked(scan, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"mine")
    with pytest.raises(InputError, match="already exists"):
        write_dicom_seg(scan.volume, scan.slices, NAMES, tmp_path / "a.dcm", overwrite=False)


def test_files_that_are_no_segmentation(scan, tmp_path):
    with pytest.raises(InputError, match="as DICOM Segmentation"):
        read_dicom_seg(scan.slices[0])
    (tmp_path / "cut.dcm").write_bytes(scan.slices[0].read_bytes()[:200])
    assert not is_dicom_seg(tmp_path / "cut.dcm")
    assert not is_dicom_seg(tmp_path / "gone.dcm")


def test_a_missing_extra_names_its_install_line(scan, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "highdicom"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    missing = r"needs highdicom, which is missing; pip install -e '\.\[dicom\]' in the folder"
    with pytest.raises(InputError, match=missing):
        write_dicom_seg(scan.volume.with_array(drawn(scan)), scan.slices, NAMES, tmp_path / "a.dcm")
