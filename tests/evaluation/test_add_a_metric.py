"""A metric added by the steps of docs/add-a-metric.md appears wherever scores are shown."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import psmnet
from helpers.grey_method import ByGreyValue, weights_of, write_case
from helpers.places import REPOSITORY
from helpers.results_maker import write_results
from psmnet.data.store import find_cases
from psmnet.evaluation import metrics
from psmnet.evaluation.evaluator import evaluate
from psmnet.evaluation.results_reader import find_results
from psmnet.evaluation.results_table import read_table, write_table
from psmnet.report.benchmark.report import write_benchmark
from psmnet.report.table import results_table

DOCUMENT = REPOSITORY / "docs" / "add-a-metric.md"
NAME, HEADING = "volume_error", "Volume error"


@pytest.fixture
def added(monkeypatch):
    """The document's function and entry, put where it says."""
    function, entry = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    space = dict(vars(metrics))
    exec(function, space)
    ((name, metric),) = eval("{" + entry + "}", space).items()
    assert name == NAME
    monkeypatch.setitem(metrics.METRICS, name, metric)


@pytest.fixture
def evaluated(added, tmp_path):
    """Results of a method that finds what the support's organ looks like: half of the query's organ here."""
    labels = np.zeros((5, 16, 16), np.uint8)
    labels[1:4, 4:8, 4:12] = 1
    for number in range(1, 7):
        write_case(tmp_path / "data", str(number), labels)
    half = labels.copy()
    half[:, :, 8:12] = 0
    write_case(tmp_path / "data", "1", labels, image=half)
    cases = find_cases(tmp_path / "data")
    results = evaluate(weights_of(ByGreyValue()), cases, dataset_name="folder", fold=0)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


def shown(results) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(results_table(results))
    return console.file.getvalue()


def test_it_is_in_the_api(added):
    prediction, reference = np.zeros((2, 1, 4, 4), bool)
    prediction[:, :3], reference[:, :2] = True, True  # 12 voxels against 8
    scores = psmnet.score(prediction, reference, (1, 1, 1))
    assert scores.volume_error == scores.values[NAME] == 0.5
    assert psmnet.score(reference & False, reference, (1, 1, 1)).volume_error == 1.0
    assert psmnet.score(reference, reference & False, (1, 1, 1)).volume_error is None


def test_it_is_in_results_files(evaluated):
    results = json.loads(evaluated.read_text(encoding="utf-8"))
    assert [record[NAME] for record in results["cases"]] == [0.5]
    assert results["summary"]["mean"][NAME] == 0.5
    assert results["summary"]["n"]["label_1"][NAME] == 1
    ((file,), _) = find_results([evaluated])
    assert [record.values[NAME] for record in file.records] == [0.5]


def test_it_is_in_tables_of_records(evaluated, tmp_path, monkeypatch):
    table = tmp_path / "records.csv"
    write_table(table, find_results([evaluated])[0])
    (file,) = read_table(table)
    assert [record.values[NAME] for record in file.records] == [0.5]
    with monkeypatch.context() as earlier:
        earlier.delitem(metrics.METRICS, NAME)
        write_table(table, find_results([evaluated])[0])
    (file,) = read_table(table)
    assert [NAME in record.values for record in file.records] == [False]


def test_it_is_in_the_terminal_if_it_is_wanted_there(evaluated, monkeypatch):
    results = json.loads(evaluated.read_text(encoding="utf-8"))
    text = shown(results)
    assert "Volume" not in text
    columns = ("organ", "Dice", "Precision", "Recall", "HD95 (mm)", "NSD (2 mm)", "scans")
    assert all(f" {column} " in text for column in columns)  # none is broken or shortened
    monkeypatch.setitem(metrics.METRICS, NAME, replace(metrics.METRICS[NAME], in_terminal=True))
    text = shown(results)
    assert "Volume" in text
    assert "0.50 " in text


def test_it_is_in_the_report(evaluated, tmp_path):
    write_benchmark(find_results([evaluated])[0], tmp_path / "report")
    caption = f"{HEADING}: mean ± standard deviation over query scans"
    for name in ("table.md", "report.html"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert caption in text
        assert "0.50 ± -" in text[text.index(caption) :]
    (record,) = csv.DictReader(io.StringIO((tmp_path / "report" / "records.csv").read_text(encoding="utf-8")))
    assert record[NAME] == "0.5"
    first, _ = csv.DictReader(io.StringIO((tmp_path / "report" / "table.csv").read_text(encoding="utf-8")))
    assert first[f"{NAME}_mean"] == "0.5"


def test_it_is_in_the_viewer(added, tmp_path):
    routes = pytest.importorskip("psmnet.viewer.routes")
    runner = pytest.importorskip("psmnet.viewer.runner")
    (entry,) = [metric for metric in routes.metrics() if metric.name == NAME]
    assert (entry.heading, entry.digits, entry.higher_is_better) == (HEADING, 2, False)
    labels = np.ones((3, 16, 16), np.uint8)
    write_case(tmp_path, "1", labels)
    path = tmp_path / "label_1.nii.gz"
    found, _ = runner.compared(
        path, runner.LabelledPaths(tmp_path / "image_1.nii.gz", path, {1: "liver"}), {"liver": 1}
    )
    assert found[1][NAME] == 0.0


def test_a_metric_that_no_results_file_has_makes_no_table(added, tmp_path):
    older = write_results(tmp_path / "older.json", {"1": {"liver": 0.5}, "2": {"liver": 0.7}})
    write_benchmark(find_results([older])[0], tmp_path / "report")
    for name in ("table.md", "report.html"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "ASSD (mm): mean" in text
        assert f"{HEADING}: mean" not in text


def test_older_results_files_show_a_dash(added, tmp_path, monkeypatch):
    older = write_results(tmp_path / "older.json", {"1": {"liver": 0.5}, "2": {"liver": 0.7}})
    newer = write_results(tmp_path / "newer.json", {"1": {"liver": 0.5}, "2": {"liver": 0.7}}, method="panet")
    content = json.loads(newer.read_text(encoding="utf-8"))
    for record in content["cases"]:
        record[NAME] = 0.25
    newer.write_text(json.dumps(content), encoding="utf-8")
    sections, _ = write_benchmark(find_results([older, newer])[0], tmp_path / "report")
    text = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    table = text[text.index(f"{HEADING}: mean") :]
    assert "| psmnet | - | - |" in table
    (row,) = (row for row in sections[0].table.rows if row.name == "psmnet")
    assert row.mean("dice") == pytest.approx(0.6)
    assert row.mean(NAME) is None
    monkeypatch.setitem(metrics.METRICS, NAME, replace(metrics.METRICS[NAME], in_terminal=True))
    summary = {"dice": 0.6, "precision": 1.0, "recall": 0.6, "hd95_mm": 3.0, "nsd_2mm": 0.6}
    content = json.loads(older.read_text(encoding="utf-8"))
    content["summary"] = {"mean": summary, "by_label": {"liver": summary}, "n": {"liver": {"dice": 2}}}
    assert any(line.count("-") == 1 and "liver" in line for line in shown(content).splitlines())
