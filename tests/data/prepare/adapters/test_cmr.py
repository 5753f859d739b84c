import numpy as np
import pytest

from helpers.raw_layouts import cmr, zipped
from psmnet.catalog import DATASETS
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError

ADAPTER = ADAPTERS["cmr"]
SMALL = {"size_xyz": (16, 16, 3)}


def read(folder, case_id):
    files = RawFiles.open(folder)
    (case,) = (case for case in ADAPTER.find(files) if case.id == case_id)
    with files.local([*case.images, *case.labels], folder) as local:
        return ADAPTER.read(case, local, DATASETS["cmr"].labels.values(), [])


def test_the_35_labelled_of_45_patients(raw):
    folder = raw("cmr").folder
    assert len(list((folder / "c0t2lge").glob("*_C0.nii.gz"))) == 45
    cases = ADAPTER.find(RawFiles.open(folder))
    assert [case.id for case in cases] == [str(number) for number in range(1, 36)]
    for case in cases:
        assert case.images == (f"c0t2lge/patient{case.id}_C0.nii.gz",)
        assert case.labels == (f"c0gt/patient{case.id}_C0_manual.nii.gz",)


def test_the_organisers_own_folders_and_the_zip(tmp_path, tmp_path_factory):
    parents = ("C0LET2_nii45_for_challenge19/c0t2lge", "C0LET2_gt_for_challenge19/c0gt")
    cmr(tmp_path, [2, 10], parents=parents, **SMALL)
    assert [case.id for case in ADAPTER.find(RawFiles.open(tmp_path))] == ["2", "10"]
    archive = zipped(tmp_path, tmp_path_factory.mktemp("zip") / "cmr.zip")
    assert [case.id for case in ADAPTER.find(RawFiles.open(archive))] == ["2", "10"]


@pytest.mark.parametrize("case_id", ["1", "9"])
def test_scan_and_labels_as_stored(raw, case_id):
    drawn = raw("cmr").drawn[case_id]
    image, labels = read(raw("cmr").folder, case_id)
    np.testing.assert_allclose(image.affine, drawn.image.affine, atol=1e-3)
    np.testing.assert_array_equal(image.array_zyx, drawn.image.array_zyx)
    np.testing.assert_array_equal(labels.array_zyx, drawn.labels.array_zyx)
    assert np.unique(labels.array_zyx).tolist() == [0, 200, 500, 600]


def test_a_patient_without_manual_labels_among_the_35(tmp_path):
    cmr(tmp_path, [2, 10], **SMALL)
    (tmp_path / "c0gt" / "patient2_C0_manual.nii.gz").unlink()
    assert [case.id for case in ADAPTER.find(RawFiles.open(tmp_path))] == ["2", "10"]
    with pytest.raises(InputError, match=r"patient2_C0.nii.gz has no label map patient2_C0_manual.nii.gz"):
        read(tmp_path, "2")


def test_a_patient_that_is_there_twice(tmp_path):
    cmr(tmp_path, [2], **SMALL)
    cmr(tmp_path, [2], parents=("copy/c0t2lge", "copy/c0gt"), **SMALL)
    with pytest.raises(InputError, match=r"of one case \(2\); give the folder of one"):
        ADAPTER.find(RawFiles.open(tmp_path))
