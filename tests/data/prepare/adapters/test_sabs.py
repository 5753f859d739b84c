import numpy as np
import pytest

from helpers.raw_layouts import SABS_NUMBERS, sabs, zipped
from psmnet.catalog import DATASETS
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError
from psmnet.io import write_volume

ADAPTER = ADAPTERS["sabs"]
VALUES = DATASETS["sabs"].labels.values()
SMALL = {"size_xyz": (16, 16, 3)}


def found(folder):
    return ADAPTER.find(RawFiles.open(folder))


def read(folder, case_id):
    files = RawFiles.open(folder)
    (case,) = (case for case in ADAPTER.find(files) if case.id == case_id)
    with files.local([*case.images, *case.labels], folder) as local:
        return ADAPTER.read(case, local, VALUES, [])


@pytest.mark.parametrize("parent", ["", "RawData", "RawData/Training"])
def test_cases_are_numbered_from_0_from_any_parent(raw, parent):
    cases = found(raw("sabs").folder / parent)
    assert [case.id for case in cases] == [str(index) for index in range(30)]
    for case, number in zip(cases, SABS_NUMBERS, strict=True):
        assert case.images[0].endswith(f"img/img{number:04d}.nii.gz")
        assert case.labels[0].endswith(f"label/label{number:04d}.nii.gz")


@pytest.mark.parametrize("layout", [("img", "label"), ("imagesTr", "labelsTr"), ("BTCV/imagesTr", "BTCV/labelsTr")])
def test_other_layouts(tmp_path, layout):
    sabs(tmp_path, [1, 21], layout=layout, **SMALL)
    assert [case.id for case in found(tmp_path)] == ["0", "10"]
    assert read(tmp_path, "10")[1] is not None


def test_cases_are_found_in_the_zip(tmp_path, tmp_path_factory):
    sabs(tmp_path, [1, 40], **SMALL)
    archive = zipped(tmp_path, tmp_path_factory.mktemp("zip") / "RawData.zip")
    assert [case.id for case in found(archive)] == ["0", "29"]


def test_a_missing_scan_does_not_shift_the_others(tmp_path):
    sabs(tmp_path, [1, 2, 4, 22, 40], **SMALL)
    assert [(case.id, case.images[0][-14:]) for case in found(tmp_path)] == [
        ("0", "img0001.nii.gz"),
        ("1", "img0002.nii.gz"),
        ("3", "img0004.nii.gz"),
        ("11", "img0022.nii.gz"),
        ("29", "img0040.nii.gz"),
    ]


def test_hounsfield_units_and_labels_as_stored(raw):
    for case_id in ("0", "1"):  # stored to the right and the front, and to the left and the back
        drawn = raw("sabs").drawn[case_id]
        image, labels = read(raw("sabs").folder, case_id)
        np.testing.assert_array_equal(image.array_zyx, drawn.image.array_zyx)
        np.testing.assert_array_equal(labels.array_zyx, drawn.labels.array_zyx)
        np.testing.assert_allclose(image.affine, drawn.image.affine, atol=1e-3)
    assert image.array_zyx.min() == -1000


@pytest.mark.parametrize(
    ("lost", "match"),
    [
        ("img/img0002.nii.gz", r"label0002.nii.gz has no image img0002.nii.gz; unpack"),
        ("label/label0002.nii.gz", r"img0002.nii.gz has no label map label0002.nii.gz; unpack"),
    ],
)
def test_half_a_case_is_listed_and_refused(tmp_path, lost, match):
    sabs(tmp_path, [1, 2], **SMALL)
    (tmp_path / "RawData" / "Training" / lost).unlink()
    assert [case.id for case in found(tmp_path)] == ["0", "1"]
    with pytest.raises(InputError, match=match):
        read(tmp_path, "1")


def test_a_label_that_the_data_set_has_not(tmp_path):
    drawn = sabs(tmp_path, [1], **SMALL)[1]
    array = drawn.labels.array_zyx.copy()
    array[0, 0, 0] = 14
    write_volume(drawn.labels.with_array(array), tmp_path / "RawData/Training/label/label0001.nii.gz")
    with pytest.raises(InputError, match=r"label/label0001.nii.gz holds label 14; only 1, 2, 3, .*, 13 are known"):
        read(tmp_path, "0")


def test_labels_of_another_scan(tmp_path):
    drawn = sabs(tmp_path, [1, 2], **SMALL)
    write_volume(drawn[2].labels, tmp_path / "RawData/Training/label/label0001.nii.gz")
    with pytest.raises(InputError, match=r"label0001.nii.gz has the size of .*img0001.nii.gz but lies elsewhere"):
        read(tmp_path, "0")


def test_a_scan_that_is_there_twice(tmp_path):
    drawn = sabs(tmp_path, [1], **SMALL)[1]
    write_volume(drawn.image, tmp_path / "RawData/Training/img/img0001.nii")
    with pytest.raises(InputError, match=r"img0001.nii and .*img0001.nii.gz are of one case \(0001\)"):
        found(tmp_path)


def test_another_data_set_is_not_it(raw):
    assert found(raw("cmr").folder) == []
