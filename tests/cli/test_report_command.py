"""psmnet report: what it prints, what it refuses, and what it needs."""

import subprocess
import sys

import pytest

from helpers.results_maker import write_results
from psmnet.evaluation.results_schema import PLAN_NAME, mask_path, masks_folder
from psmnet.report.benchmark.report import NAMES
from psmnet.system.locks import LOCK_NAME

GOOD, BAD = {"1": {"liver": 0.8, "spleen": 0.6}}, {"1": {"liver": 0.4, "spleen": 0.4}}


def example(folder):
    write_results(folder / "psmnet" / "fold0_seed0.json", GOOD)
    write_results(folder / "psmnet" / "fold1_seed0.json", {"2": {"liver": 0.8}}, fold=1)
    write_results(folder / "panet" / "fold0_seed0.json", BAD, method="panet")
    return folder


def test_report_of_a_folder(cli, tmp_path):
    out = tmp_path / "out"
    (example(tmp_path / "in") / "log.json").write_text("{}")
    outcome = cli("report", tmp_path / "in", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "note: 1 other JSON file left out",
        "table 1: chaos-t2, EP1, Setting 1, 1,000 steps on chaos-t2 superpixels, 1 shot",
        "    psmnet: mean Dice 0.700",
        "    panet †: mean Dice 0.400",
        "    † panet: 1 of 2 folds: 1 missing. Its figures are over less than the others' and not comparable.",
        f"report: {out / 'report.html'}",
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)
    (tmp_path / "in" / PLAN_NAME).write_text('{"schema": "psmnet-bench-1", "results": ["psmnet/fold2_seed0.json"]}')
    outcome = cli("report", tmp_path / "in", "--out", out, "--overwrite")
    told = "in is unfinished: 0 of 1 results are there, run psmnet bench again"
    assert f"note: {told}" in outcome.out
    assert f"{told}." in (out / "table.md").read_text()
    assert f"{told}." in (out / "report.html").read_text()
    assert LOCK_NAME not in {path.name for path in out.iterdir()}


def test_folds_and_method_can_be_chosen(cli, tmp_path):
    example(tmp_path / "in")
    outcome = cli("report", tmp_path / "in", "--out", tmp_path / "out", "--folds", "0", "--against", "panet")
    assert (outcome.code, outcome.err) == (0, "")
    assert "missing" not in outcome.out
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "method \N{MINUS SIGN} panet" in text
    assert "| psmnet | +0.300 |" in text  # 0.7 - 0.4


def test_missing_pictures_are_reported(cli, tmp_path, phantoms):
    folder = example(tmp_path / "in")
    for case in "12":
        mask = mask_path(masks_folder(folder / "psmnet" / f"fold{int(case) - 1}_seed0.json"), case, "liver")
        mask.parent.mkdir(exist_ok=True)
        mask.write_bytes(b"")
    outcome = cli("report", folder, "--out", tmp_path / "out", "--data", phantoms)
    (note,) = [line for line in outcome.out.splitlines() if line.startswith("note: ")]
    assert note == ("note: table 1: No pictures: the data given hold no case 2 as it was evaluated, with its labels.")


def refused(outcome, *words):
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line


def test_refusals_are_one_line_and_leave_nothing(cli, tmp_path):
    folder, out = example(tmp_path / "in"), tmp_path / "out"
    refused(cli("report", folder, "--out", out, "--folds", "0-4"), "--folds is 0-4", "give numbers of folds")
    refused(cli("report", folder, "--out", out, "--folds", "4"), "no results of fold 4")
    refused(cli("report", folder, "--out", out, "--against", "qnet"), "no method 'qnet'", "psmnet, panet")
    refused(cli("report", folder, "--out", out, "--data", tmp_path / "none"), "no folder")
    refused(cli("report", tmp_path / "none", "--out", out), "no results")
    refused(cli("report", "--out", out), "Missing argument")
    write_results(folder / "again.json", BAD)
    refused(cli("report", folder, "--out", out), "again.json", "the same cell (psmnet, fold 0, seed 0, support s)")
    (folder / "again.json").write_text('{"schema": "psmnet-results-1"')
    refused(cli("report", folder, "--out", out), "again.json is not JSON")
    assert not out.exists()


def test_reports_are_replaced_only_on_request(cli, tmp_path):
    folder, out = example(tmp_path / "in"), tmp_path / "out"
    assert cli("report", folder, "--out", out).code == 0
    (out / "report.html").write_text("mine")
    refused(cli("report", folder, "--out", out), "already exists; add --overwrite")
    assert (out / "report.html").read_text() == "mine"
    assert cli("report", folder, "--out", out, "--overwrite").code == 0
    assert (out / "report.html").read_text() != "mine"


def test_no_torch_is_needed():
    code = "import sys, psmnet.cli.report; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["records.csv", "records.csv.gz"])
def test_a_table_of_records_gives_the_same_report_as_the_files(cli, tmp_path, name):
    folder, table = example(tmp_path / "in"), tmp_path / name
    made = cli("report", folder, "--records", table, "--out", tmp_path / "a")
    assert made.out.splitlines()[-1] == f"records: {table}"
    again = cli("report", table, "--out", tmp_path / "b")
    assert (again.code, again.err) == (0, "")
    for file in NAMES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_table_alone_is_written_where_no_report_is_wanted(cli, tmp_path):
    folder, table = example(tmp_path / "in"), tmp_path / "records.csv"
    assert cli("report", folder, "--records", table).out == f"records: {table}\n"
    before = table.read_text()
    refused(cli("report", folder, "--records", table), "already exists; add --overwrite")
    assert cli("report", folder, "--records", table, "--overwrite").code == 0
    assert table.read_text() == before
    refused(cli("report", folder), "nothing to write", "--out DIR", "--records FILE")
    refused(cli("report", folder, "--records", tmp_path / "records.txt"), "ends in .csv or .csv.gz")


def test_each_folds_own_support_alone(cli, tmp_path):
    folder = tmp_path / "in"
    write_results(folder / "psmnet" / "fold0_seed0.json", GOOD)
    write_results(folder / "psmnet" / "fold0_seed0_support9.json", BAD, supports=("9",))
    assert "psmnet: mean Dice 0.550" in cli("report", folder, "--out", tmp_path / "both").out
    own = cli("report", folder, "--out", tmp_path / "own", "--own-support")
    assert "psmnet: mean Dice 0.700" in own.out
    told = "Only results of each fold's own support are used"
    assert f"note: {told}" in own.out
    assert f"{told}." in (tmp_path / "own" / "table.md").read_text()
    (folder / "psmnet" / "fold0_seed0.json").unlink()
    refused(cli("report", folder, "--out", tmp_path / "none", "--own-support"), "no results of a fold's own support")
