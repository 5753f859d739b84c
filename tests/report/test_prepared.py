import csv

import numpy as np
import pytest
from PIL import Image

from psmnet.data.dataset_file import DatasetFile, read_dataset_file
from psmnet.data.prepare.dataset import PrepareSpec, prepare_dataset
from psmnet.errors import InputError
from psmnet.io import write_volume
from psmnet.report.prepared import REPORT_FOLDER, write_report
from psmnet.volume.volume import Volume

SCAN = Volume(np.full((4, 16, 12), 5, np.int16), (2.0, 2.5, 8.0))


@pytest.fixture
def prepared(tmp_path):
    """Two scans: a labelled one, and one without labels that is CT."""
    labels = np.zeros((4, 16, 12), np.uint8)
    labels[1:3, 4:8, 4:8] = 1  # 32 voxels
    labels[2, 10:12, 4:9] = 3  # 10
    image = SCAN.array_zyx.copy()
    image[0, 0, 0], image[labels == 1] = -3, 400
    write_volume(SCAN.with_array(image), tmp_path / "raw" / "b.nii.gz")
    write_volume(SCAN.with_array(labels), tmp_path / "raw" / "b_label.nii.gz")
    hounsfield = np.full((5, 16, 12), -1000, np.int16)
    hounsfield[2:] = 75
    write_volume(Volume(hounsfield, (2.0, 2.5, 8.0)), tmp_path / "raw" / "a.nii.gz")
    out = tmp_path / "out"
    prepare_dataset(PrepareSpec("folder"), tmp_path / "raw", out, jobs=1)
    return out


def rows(page):
    with (page.parent / "cases.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_the_table_has_geometry_intensities_and_voxels(prepared):
    page = write_report(read_dataset_file(prepared), prepared, jobs=1)
    assert page == prepared / REPORT_FOLDER / "index.html"
    head, first, second = rows(page)
    assert head == [
        *("case", "raw size", "raw mm", "size", "mm", "axes", "minimum", "mean", "maximum"),
        *("label_1", "label_3"),
    ]
    # Windowed: air at 0, 75 HU at 127.5, on 3 of 5 slices and 12 of 16 columns.
    mean = 127.5 * 3 / 5 * 12 / 16
    assert first == [
        *("a", "12 x 16 x 5", "2 x 2.5 x 8", "16 x 16 x 5", "2 x 2.5 x 8", "LPS"),
        *("0", f"{mean:.5g}", "127.5", "0", "0"),
    ]
    # Padded with -3.
    mean = (5 * (4 * 16 * 12 - 33) + 400 * 32 - 3 * (1 + 4 * 16 * 4)) / (4 * 16 * 16)
    assert second == [
        *("b", "12 x 16 x 4", "2 x 2.5 x 8", "16 x 16 x 4", "2 x 2.5 x 8", "LPS"),
        *("-3", f"{mean:.5g}", "400", "32", "10"),
    ]


def test_a_picture_of_each_case_and_the_page(prepared):
    told = []
    page = write_report(read_dataset_file(prepared), prepared, jobs=1, report=lambda *what: told.append(what))
    assert sorted(path.name for path in page.parent.iterdir()) == ["a.png", "b.png", "cases.csv", "index.html"]
    assert told == [(1, "a", 2), (2, "b", 2)]
    for name in "ab":
        with Image.open(page.parent / f"{name}.png") as picture:
            picture.verify()
    # Organs are drawn in colour, a scan without labels is all grey beside letters and numbers.
    with Image.open(page.parent / "b.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert (np.ptp(pixels, axis=2) > 60).sum() > 100
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 2
    assert "2 cases (mixed). Known bugs of published preprocessing reproduced: none." in text
    assert '<td class="number">32</td>' in text


def test_faults_are_told(prepared):
    dataset = read_dataset_file(prepared)
    dataset.legacy = ("crop-origin", "label-holes")
    text = write_report(dataset, prepared, jobs=1).read_text(encoding="utf-8")
    assert "Known bugs of published preprocessing reproduced: crop-origin, label-holes." in text


def test_the_report_is_written_over_and_leaves_the_data_alone(prepared):
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    pages = [write_report(read_dataset_file(prepared), prepared, jobs=1).read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]
    assert {path.name: path.read_bytes() for path in prepared.iterdir() if path.is_file()} == before


def test_scans_that_are_no_case_are_passed_over(prepared):
    write_volume(SCAN, prepared / "image_stray.nii.gz")
    write_report(read_dataset_file(prepared), prepared, jobs=1)
    assert not (prepared / REPORT_FOLDER / "stray.png").exists()


def test_a_case_that_can_not_be_read(prepared):
    (prepared / "image_a.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"image_a\.nii\.gz"):
        write_report(read_dataset_file(prepared), prepared, jobs=1)
    assert not (prepared / REPORT_FOLDER / "index.html").exists()


def test_nothing_prepared(tmp_path):
    with pytest.raises(InputError, match=r"no image_<id>.nii.gz"):
        write_report(DatasetFile(dataset="folder", version="0"), tmp_path, jobs=1)
