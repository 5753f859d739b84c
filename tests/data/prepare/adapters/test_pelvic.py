import numpy as np
import pytest

from helpers.raw_layouts import PELVIC_PIDS, pelvic, zipped
from psmnet.catalog import DATASETS, INSTITUTIONS
from psmnet.data.prepare.adapters import ADAPTERS
from psmnet.data.prepare.raw_files import RawFiles
from psmnet.errors import InputError

ADAPTER = ADAPTERS["pelvic"]
SMALL = {"size_xyz": (16, 16, 3)}


def found(folder):
    return ADAPTER.find(RawFiles.open(folder))


def read(folder, case_id, notes):
    files = RawFiles.open(folder)
    (case,) = (case for case in ADAPTER.find(files) if case.id == case_id)
    with files.local([*case.images, *case.labels], folder) as local:
        return ADAPTER.read(case, local, DATASETS["pelvic"].labels.values(), notes)


@pytest.fixture
def two(tmp_path):
    pelvic(tmp_path / "record" / "unpacked", ["000003", "100001"], **SMALL)
    return tmp_path / "record" / "unpacked"


def test_six_digit_ids_are_kept_and_know_their_institutions(raw):
    cases = found(raw("pelvic").folder)
    assert [case.id for case in cases] == list(PELVIC_PIDS)
    assert [case.institution for case in cases] == list(INSTITUTIONS.values())
    assert cases[0].images == ("data/000003_img.nii",)
    assert cases[0].labels == ("data/000003_mask.nii",)


def test_a_folder_above_and_the_zip(two, tmp_path_factory):
    archive = zipped(two, tmp_path_factory.mktemp("zip") / "pelvic.zip")
    for folder in (two.parent, archive):
        assert [(case.id, case.institution) for case in found(folder)] == [("000003", "UCL"), ("100001", "Prostate3T")]


def test_from_the_scans_own_folder_institutions_are_unknown_and_that_is_said(two):
    assert [case.institution for case in found(two / "data")] == [None, None]
    notes = []
    read(two / "data", "000003", notes)
    assert notes == ["case 000003 has no institution in institution.txt"]


def test_scan_and_labels_as_stored(raw):
    for case_id in PELVIC_PIDS[:2]:
        drawn, notes = raw("pelvic").drawn[case_id], []
        image, labels = read(raw("pelvic").folder, case_id, notes)
        assert notes == []
        np.testing.assert_allclose(image.affine, drawn.image.affine, atol=1e-3)
        np.testing.assert_array_equal(image.array_zyx, drawn.image.array_zyx)
        np.testing.assert_array_equal(labels.array_zyx, drawn.labels.array_zyx)
        assert np.unique(labels.array_zyx).tolist() == list(range(9))


@pytest.mark.parametrize("name", ["institution.txt", "instiution.txt", "Institution.TXT"])
@pytest.mark.parametrize(
    "text",
    [
        "000003 5\n100001 6\n",
        "3\t5\r\n100001\t6\r\n",  # leading zeros lost, as where a spreadsheet was in between
        "pid institution\n000003,5\n\n100001;6",
        "\ufeff000003 5\n100001 6\n",  # with a mark of the byte order
    ],
)
def test_ways_in_which_the_list_may_be_written(two, name, text):
    (two / "instiution.txt").unlink()
    (two / name).write_bytes(text.encode())
    assert [case.institution for case in found(two)] == ["Bergen", "Nijmegen"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("000003 5\n100001 8\n", 2), ("000003 5\n100001\n", 2), ("000003 UCL\n", 1), ("pid no\npatient 5\n", 2)],
)
def test_a_list_that_makes_no_sense(two, text, line):
    (two / "instiution.txt").write_text(text)
    with pytest.raises(InputError, match=rf"^instiution.txt, line {line}: '.*' is no patient id and institution 1 to"):
        found(two)


def test_half_a_case(two):
    (two / "data" / "000003_mask.nii").unlink()
    assert [case.id for case in found(two)] == ["000003", "100001"]
    with pytest.raises(InputError, match=r"data/000003_img.nii has no label map 000003_mask.nii"):
        read(two, "000003", [])


def test_another_data_set_is_not_it(raw):
    assert found(raw("cmr").folder) == []
