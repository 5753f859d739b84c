import pytest

from psmnet.evaluation.bench.plan import add_to_plan, results_done, unfinished
from psmnet.evaluation.results_schema import PLAN_NAME


def test_what_is_there_is_counted(tmp_path):
    add_to_plan(tmp_path, [tmp_path / "a" / "fold0.json", tmp_path / "a" / "fold1.json"])
    add_to_plan(tmp_path, [tmp_path / "b" / "fold0.json", tmp_path / "a" / "fold0.json"])
    assert results_done(tmp_path) == (0, 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "fold1.json").write_text("{}")
    assert results_done(tmp_path) == (1, 3)
    assert unfinished([tmp_path]) == [
        f"{tmp_path.name} is unfinished: 1 of 3 results are there, run psmnet bench again"
    ]


def test_a_finished_folder_is_not_remarked(tmp_path):
    (tmp_path / "fold0.json").write_text("{}")
    add_to_plan(tmp_path, [tmp_path / "fold0.json"])
    assert unfinished([tmp_path]) == []


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"schema": "else"}', '{"schema": "psmnet-bench-1", "results": 3}']
)
def test_where_nothing_was_asked_nothing_is_missing(tmp_path, content):
    if content is not None:
        (tmp_path / PLAN_NAME).write_text(content)
    assert unfinished([tmp_path, tmp_path / "absent"]) == []
