import hashlib
import json
from pathlib import Path

import pytest

from helpers.results_maker import record, results, write_results
from psmnet.data.dataset_file import DATASET_NAME
from psmnet.data.pseudolabels.store import LIST_NAME
from psmnet.errors import InputError
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_reader import KNOWN_NAMES, find_results, parse_results
from psmnet.evaluation.results_records import Training
from psmnet.evaluation.results_schema import PLAN_NAME
from psmnet.training.run_folder import RUN_NAME

EARLIER = Path(__file__).parent / "earlier"
DICE = {"3": {"liver": 0.5, "spleen": None}}


def test_a_file_as_it_is_read_back(tmp_path):
    path = write_results(tmp_path / "a.json", DICE, supports=("10", "9"), seed=2, variant="grid=0")
    (file,), others = find_results([path])
    assert others == 0
    assert (file.source, file.path) == ("a.json", path)
    assert file.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.method, file.variant, file.fold, file.shots, file.seed) == ("psmnet", "grid=0", 0, 2, 2)
    assert file.supports == ("9", "10")  # by number
    assert file.training == Training("chaos-t2", "superpixels", 1000)
    assert file.organs == ("liver", "spleen")
    liver, spleen = file.records
    assert (liver.case, liver.organ, liver.slices, liver.values["dice"]) == ("3", "liver", 10, 0.5)
    assert liver.false_positive_ml is None
    assert (spleen.values["dice"], spleen.false_positive_ml, spleen.empty_prediction) == (None, 1.5, False)


@pytest.mark.parametrize(("pairs", "own", "length"), [(6, None, "1,000 steps"), (24, 24, "1,000 steps of 24 pairs")])
def test_batches_larger_than_the_presets_are_another_training(pairs: int, own: int | None, length: str):
    training = parse_results(results(DICE, trained={"pairs": pairs}), "r.json", "r.json", "").training
    assert training == Training("chaos-t2", "superpixels", 1000, pairs=own)
    assert training.length == length


def test_no_training_no_seed():
    file = parse_results(results(DICE, method="registration", free=True), "r.json", "r.json", "")
    assert (file.training, file.seed) == (None, None)


def test_early_files_say_false_for_no_faults():
    assert parse_results(results(DICE, legacy=False), "r.json", "r.json", "").legacy == ()
    assert parse_results(results(DICE, legacy=["b", "a"]), "r.json", "r.json", "").legacy == ("a", "b")


def test_folders_are_searched_and_other_json_is_counted(tmp_path):
    write_results(tmp_path / "in" / "ep1" / "psmnet" / "fold0.json", DICE)
    write_results(tmp_path / "in" / "fold1.json", DICE, fold=1)
    for name, content in {"report.json": {"schema": "psmnet-report-1"}, "list.json": [1], "none.json": {}}.items():
        (tmp_path / "in" / name).write_text(json.dumps(content))
    (tmp_path / "in" / ".tmp-abc.json").write_text("{")  # another process is writing it
    files, others = find_results([tmp_path / "in", tmp_path / "in" / "fold1.json"])
    assert [file.source for file in files] == ["ep1/psmnet/fold0.json", "fold1.json"]  # the second once
    assert others == 3


def test_psmnets_own_files_are_not_counted(tmp_path):
    assert set(KNOWN_NAMES) == {RUN_NAME, LIST_NAME, DATASET_NAME, PLAN_NAME}
    write_results(tmp_path / "fold0.json", DICE)
    for name in (*KNOWN_NAMES, "else.json"):
        (tmp_path / name).write_text("{}")
    assert find_results([tmp_path])[1] == 1


def test_two_inputs_may_hold_files_of_one_name(tmp_path):
    inputs = [write_results(tmp_path / name / "fold0.json", DICE) for name in ("alice", "bob")]
    assert [file.source for file in find_results(inputs)[0]] == ["fold0.json", "[2] fold0.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has schema None, not psmnet-results-1"),
        ('{"schema": "psmnet-report-1"}', "has schema 'psmnet-report-1', not psmnet-results-1"),
        ('{"schema": "psmnet-results-2"}', "has schema 'psmnet-results-2', not psmnet-results-1"),
        ('{"schema": "psmnet-results-1"}', "provenance is missing"),
    ],
)
def test_what_is_no_results_file(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        find_results([path])


def test_a_newer_or_broken_file_in_a_folder_is_not_passed_over(tmp_path):
    (tmp_path / "a.json").write_text('{"schema": "psmnet-results-2"}')
    with pytest.raises(InputError, match="psmnet-results-2"):
        find_results([tmp_path])
    (tmp_path / "a.json").write_text('{"schema": "psmnet-res')
    with pytest.raises(InputError, match="is not JSON"):
        find_results([tmp_path])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": 3}, "method is 3"),
        ({"fold": "0"}, "fold is '0'"),
        ({"fold": True}, "fold is True"),
        ({"fold": -1}, "fold is -1"),
        ({"shots": None}, "shots is missing"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"cases": {}}, "cases is {}"),
        ({"cases": ["liver"]}, "record 1 of cases is 'liver'"),
        ({"cases": [{"case": "1"}]}, "record 1 of cases: label is missing"),
        ({"cases": [{"case": "1", "label": "liver", "dice": 73.2}]}, "record 1 of cases: dice is 73.2"),
        ({"cases": [{"case": "1", "label": "liver", "dice": float("nan")}]}, "dice is nan"),
        ({"cases": [record("1", "liver", 0.5, hd95_mm=10**400)]}, r"hd95_mm is 10+\.\.\."),
        ({"cases": [record("1", "liver", 0.5, hd95_mm=-1)]}, "hd95_mm is -1"),
        ({"cases": [record("1", "liver", 0.5)] * 2}, "two records of liver in case 1"),
        ({"cases": []}, "no scores: cases is empty"),
        (
            {"cases": [record("1", "liver", None, false_positive_ml=None)]},
            "record 1 of cases: an organ has either a dice or",
        ),
        ({"cases": [record("1", "liver", 0.5, false_positive_ml=1)]}, "record 1 of cases: an organ has either a dice"),
        ({"protocol": "ep7"}, "protocol is 'ep7', none of ep1, ep1-labelled, ep2, blind"),
        ({"provenance": {"supports": []}}, "names no support cases"),
        ({"provenance": {"trained_on": {"dataset": "chaos-t2"}}}, "trained_on: steps is missing"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(results(DICE, **change)))
    with pytest.raises(InputError, match=message) as caught:
        find_results([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", [*METRICS, "false_positive_ml"])
def test_a_record_without_a_metric_is_no_absent_organ(tmp_path, key):
    content = results({"1": {"liver": 0.5}, "2": {"liver": 0.7}})
    del content["cases"][1][key]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"a.json: record 2 of cases: {key} is missing; make it again"):
        find_results([path])


def test_nothing_to_report(tmp_path):
    with pytest.raises(InputError, match="no results files in"):
        find_results([tmp_path])
    with pytest.raises(InputError, match=r"no results .*nowhere"):
        find_results([tmp_path / "nowhere"])


def test_files_of_version_0_1_are_still_read():
    early, late = find_results([EARLIER / "early_fold0_seed0.json", EARLIER / "fold0_seed0_support13.json"])[0]
    assert (early.training, early.legacy, early.own_support) == (Training("chaos-t2", None, 1600), (), True)
    assert len(early.records) == len(late.records) == 16
    assert late.variant == "position_at_inference=0.5,refine_at_inference=2"  # was ..._in_use
    assert (late.model["position_at_inference"], late.model["refine_at_inference"]) == (0.5, 2)
    assert (late.protocol, late.supports, late.own_support) == ("blind", ("13",), False)
    assert late.training.start_weights.startswith("1c9b1987")
