"""Files as psmnet wrote them before they were described by models: they read as they are, and are written so again."""

import json
from pathlib import Path

import pytest

from psmnet.cohort.records import CohortReport, ScanRecord
from psmnet.data.dataset_file import DATASET_NAME, DatasetFile, read_dataset_file
from psmnet.data.pseudolabels.store import LIST_NAME, PseudolabelList
from psmnet.system.stored_file import StoredFile

FOLDER = Path(__file__).parents[1] / "data_files" / "before_models"
FILES = {"2_seg.json": ScanRecord, "report.json": CohortReport, DATASET_NAME: DatasetFile, LIST_NAME: PseudolabelList}


def without_empty(content: object) -> object:
    """Without entries that say nothing: models write them, earlier versions left them out."""
    if isinstance(content, dict):
        return {key: without_empty(value) for key, value in content.items() if value not in (None, {}, [], ())}
    return [without_empty(value) for value in content] if isinstance(content, list) else content


@pytest.mark.parametrize(("name", "model"), FILES.items(), ids=FILES)
def test_a_file_of_an_earlier_version_keeps_all_it_holds(name: str, model: type[StoredFile], tmp_path: Path):
    model.read(FOLDER / name).write(tmp_path / name)
    before, after = (json.loads((folder / name).read_text(encoding="utf-8")) for folder in (FOLDER, tmp_path))
    assert without_empty(after) == without_empty(before)


def test_a_folder_prepared_by_an_earlier_version_is_known():
    found = read_dataset_file(FOLDER)
    assert found is not None
    assert sorted(found.cases) == ["1", "2"]
    assert found.names()[1] == "label_1"
