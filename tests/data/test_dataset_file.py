import json

import pytest

from psmnet.data.dataset_file import DATASET_NAME, DatasetFile, read_dataset_file
from psmnet.errors import InputError

WHOLE = DatasetFile(
    dataset="pelvic",
    version="0.1.0",
    modality="mr",
    legacy=("crop-origin",),
    constants={"spacing_mm": [0.75, 0.75, 2.5]},
    labels={"bladder": 1, "bone": 2},
    cases={"000003": {"institution": "UCL"}, "100001": {"institution": None}, "42": {}},
)


def test_it_reads_as_it_was_written(tmp_path):
    WHOLE.write_into(tmp_path)
    assert read_dataset_file(tmp_path) == WHOLE
    content = json.loads((tmp_path / DATASET_NAME).read_text())
    assert content["schema"] == "psmnet-dataset-1"
    assert [path.name for path in tmp_path.iterdir()] == [DATASET_NAME]


def test_what_it_tells(tmp_path):
    assert WHOLE.names() == {1: "bladder", 2: "bone"}
    assert WHOLE.institutions() == {"000003": "UCL"}


def test_none_where_there_is_none_or_another_programs(tmp_path):
    assert read_dataset_file(tmp_path) is None
    for foreign in ({"labels": {"liver": 1}, "numTraining": 3}, [], {"schema": "psmnet-dataset-2"}):
        (tmp_path / DATASET_NAME).write_text(json.dumps(foreign))
        assert read_dataset_file(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": ...},
        {"cases": []},
        {"cases": {"1": {"voxels": "x"}}},
        {"cases": {"1": {"voxels": {"liver": 3}}}},
        {"cases": {"1": "a"}},
        {"labels": 3},
        {"legacy": None},
    ],
)
def test_damaged(tmp_path, changes):
    WHOLE.write_into(tmp_path)
    content = json.loads((tmp_path / DATASET_NAME).read_text()) | changes
    content = {key: value for key, value in content.items() if value is not ...}
    (tmp_path / DATASET_NAME).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"dataset.json is damaged .*; prepare the data again"):
        read_dataset_file(tmp_path)


def test_cut_short(tmp_path):
    WHOLE.write_into(tmp_path)
    path = tmp_path / DATASET_NAME
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"dataset.json is not JSON"):
        read_dataset_file(tmp_path)


def test_fields_of_a_newer_version_are_ignored(tmp_path):
    WHOLE.write_into(tmp_path)
    content = json.loads((tmp_path / DATASET_NAME).read_text())
    content["colour"] = content["cases"]["42"]["colour"] = "red"
    (tmp_path / DATASET_NAME).write_text(json.dumps(content))
    assert read_dataset_file(tmp_path) == WHOLE
