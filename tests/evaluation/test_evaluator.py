import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.grey_method import SIZE, ByGreyValue, weights_of, write_case
from psmnet.catalog import PROTOCOLS
from psmnet.data.dataset_file import DatasetFile
from psmnet.data.store import Case, find_cases
from psmnet.errors import ConfigError, InputError, LeakageError
from psmnet.evaluation.evaluator import evaluate, predict_query, seen_cases
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.predictors import Predictor, predictor_of
from psmnet.evaluation.results_schema import mask_path, masks_folder, summarise
from psmnet.io import read_labels
from psmnet.models.weights import TrainingRecord, load_weights

TOP_LEVEL = {  # protocols.md
    "schema",
    "method",
    "variant",
    "dataset",
    "protocol",
    "setting",
    "group",
    "setting2",
    "folds",
    "institution",
    "fold",
    "shots",
    "seed",
    "postprocess",
    "legacy",
    "summary",
    "cases",
    "provenance",
}


def two_organs(number: int, depth: int = 7) -> np.ndarray:
    labels = np.zeros((depth, SIZE, SIZE), dtype=np.uint8)
    labels[1:5, 2:8, 2 : 5 + number] = 1
    labels[2:6, 9:14, 4:12] = 2
    return labels


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """Seven cases: fold 0 tests case 1 with support 2; fold 4 tests 5, 6 and 7 with support 1."""
    for number in range(1, 8):
        write_case(tmp_path, str(number), two_organs(number))
    return find_cases(tmp_path)


def run(cases: list[Case], model: nn.Module | None = None, **changes) -> dict:
    options = {"dataset_name": "folder", "fold": 4} | changes
    return evaluate(weights_of(model or ByGreyValue(), options.pop("trained_on", None)), cases, **options)


# ---- scores ----------------------------------------------------------------------------------------------------


def test_a_perfect_method_scores_one(cases):
    results = run(cases)
    assert [(r["case"], r["label"]) for r in results["cases"]] == [
        (case, label) for case in ("5", "6", "7") for label in ("label_1", "label_2")
    ]
    assert {r["slices"] for r in results["cases"]} == {4}
    for row in (results["summary"]["mean"], *results["summary"]["by_label"].values()):
        assert row == dict.fromkeys(METRICS, 1.0) | {"hd95_mm": 0.0, "assd_mm": 0.0}
    for row in results["summary"]["std"].values():
        assert set(row.values()) == {0.0}
    assert results["summary"]["n"]["label_1"] == dict.fromkeys(METRICS, 3)


def test_an_empty_method_scores_zero(cases):
    summary = run(cases, ByGreyValue(answer=-1.0))["summary"]
    assert summary["mean"] == dict.fromkeys(METRICS) | {"dice": 0.0, "iou": 0.0, "recall": 0.0, "nsd_2mm": 0.0}
    assert summary["n_empty_prediction"] == 6
    assert summary["n_absent"] == 0
    assert summary["n"]["label_1"]["dice"] == 3
    assert summary["n"]["label_1"]["hd95_mm"] == 0


def test_support_slice_k_serves_part_k(tmp_path):
    """The organ's grey changes along z; only a part that is matched with its own support slice is found."""
    for number in range(1, 8):
        labels = two_organs(number, 9)
        labels[labels == 2] = 0
        labels[1:7, 2:8, 2:6] = 1  # six slices: support slices 1, 3, 5 of them, parts of 2, 2 and 2
        image = labels * (10 * (1 + np.clip((np.arange(9) - 1) * 3 // 5, 0, 2)))[:, None, None]
        write_case(tmp_path, str(number), labels, image)
    results = run(find_cases(tmp_path))
    assert results["summary"]["mean"]["dice"] == 1

    write_case(tmp_path, "1", labels, image[::-1])  # the support of fold 4, its greys upside down
    results = run(find_cases(tmp_path))
    assert results["summary"]["mean"]["dice"] < 0.6


def test_each_slice_is_encoded_once_whatever_the_number_of_organs(cases):
    model = ByGreyValue()
    run(cases, model)
    assert model.encoded == 4 * 5  # slices 1 to 5 of the support and of three queries have an organ


def test_report_is_told_each_query(cases):
    told = []
    run(cases, report=told.append)
    assert told == ["5", "6", "7"]


# ---- protocols -------------------------------------------------------------------------------------------------


COMPARING = [name for name in PROTOCOLS if name != "cohort"]


@pytest.mark.parametrize("protocol", COMPARING)
def test_a_perfect_and_an_empty_method_score_one_and_zero_in_each_protocol(cases, protocol):
    results = run(cases, protocol=protocol)
    assert results["protocol"] == protocol
    assert results["provenance"]["note"] == PROTOCOLS[protocol]
    assert results["summary"]["mean"] == dict.fromkeys(METRICS, 1.0) | {"hd95_mm": 0.0, "assd_mm": 0.0}
    assert {r["slices"] for r in results["cases"]} == {4 if protocol in ("ep1", "ep1-labelled") else 7}
    empty = run(cases, ByGreyValue(answer=-1.0), protocol=protocol)["summary"]
    assert (empty["mean"]["dice"], empty["n_empty_prediction"]) == (0.0, 6)


def test_the_protocol_of_learned_networks_is_for_these_only(cases):
    with pytest.raises(ConfigError, match="the protocol cohort is for learned networks"):
        run(cases, protocol="cohort")


def test_a_query_that_can_not_be_segmented_is_named(cases, tmp_path):
    write_case(tmp_path, "6", two_organs(6), image=np.full((7, SIZE, SIZE), 3.0))
    with pytest.raises(InputError, match=r"^case 6: the scan is constant: every voxel is 3"):
        run(find_cases(tmp_path), protocol="blind")


def test_an_unknown_protocol_is_refused(cases):
    with pytest.raises(ConfigError, match="no protocol 'ep3'; give one of ep1, ep1-labelled, ep2, blind"):
        run(cases, protocol="ep3")


def with_support(case: Case, protocol: str) -> Predictor:
    image = case.image()
    predictor = predictor_of(weights_of(ByGreyValue()), protocol, torch.device("cpu"))
    predictor.set_support([(image, case.labels(image))], [1, 2])
    return predictor


@pytest.mark.parametrize("protocol", ["ep2", "blind"])
def test_ep2_and_blind_read_no_label_of_the_query(cases, protocol):
    predictor, query = with_support(cases[0], protocol), cases[5]
    query.label_path.unlink()
    _, counted, masks = predict_query(predictor, query, protocol, [1, 2])
    for value in (1, 2):
        assert counted[value].slices.tolist() == list(range(7))
        assert np.array_equal(masks[value], two_organs(6) == value)


@pytest.mark.parametrize("protocol", ["ep1", "ep1-labelled"])
def test_ep1_is_told_by_the_labels_of_the_query(cases, protocol):
    predictor, query = with_support(cases[0], protocol), cases[5]
    query.label_path.unlink()
    with pytest.raises(InputError, match="case 6 has no label map"):
        predict_query(predictor, query, protocol, [1, 2])


def test_ep1_scores_slices_without_the_organ_in_between_and_ep1_labelled_does_not(cases, tmp_path):
    labels = two_organs(5)
    labels[3][labels[3] == 1] = 0  # organ 1 is on 1, 2 and 4
    write_case(tmp_path, "5", labels, image=two_organs(5))  # but its grey is on 3 too
    by_protocol = {p: run(find_cases(tmp_path), protocol=p)["cases"][0] for p in ("ep1", "ep1-labelled")}
    assert by_protocol["ep1"]["slices"] == 4
    assert by_protocol["ep1"]["precision"] == 0.75
    assert by_protocol["ep1-labelled"]["slices"] == 3
    assert by_protocol["ep1-labelled"]["precision"] == 1.0


def test_ep2_uses_the_middle_labelled_slice_alone(tmp_path):
    for number in range(1, 8):
        labels = np.zeros((9, SIZE, SIZE), dtype=np.uint8)
        labels[1:6, 2:8, 2:6] = 1
        image = labels * (10 * np.arange(9))[:, None, None]  # every slice has a grey of its own
        write_case(tmp_path, str(number), labels, image)
    row = run(find_cases(tmp_path), protocol="ep2")["cases"][0]
    assert (row["recall"], row["precision"]) == (1 / 5, 1.0)


@pytest.mark.parametrize("protocol", ["ep2", "blind"])
def test_what_is_found_of_an_absent_organ_is_told_in_millilitres(cases, tmp_path, protocol):
    labels = two_organs(5)
    grey = labels.copy()
    labels[labels == 2] = 0
    write_case(tmp_path, "5", labels, image=grey)
    results = run(find_cases(tmp_path), protocol=protocol)
    (absent,) = [r for r in results["cases"] if r["false_positive_ml"] is not None]
    assert (absent["case"], absent["label"], absent["dice"]) == ("5", "label_2", None)
    assert absent["false_positive_ml"] > 0
    assert results["summary"]["n_absent"] == 1
    assert results["summary"]["n"]["label_2"]["dice"] == 2


def test_masks_are_kept_as_scans_that_score_the_same(cases, tmp_path):
    out = tmp_path / "masks"
    for protocol in COMPARING:
        results = run(cases, protocol=protocol, masks=out / protocol)
        assert len(list((out / protocol).iterdir())) == len(results["cases"]) == 6
        for record in results["cases"]:
            mask = read_labels(mask_path(out / protocol, record["case"], record["label"]))
            expected = two_organs(int(record["case"])) == int(record["label"].removeprefix("label_"))
            assert np.array_equal(mask.array_zyx, expected)


def test_a_mask_of_an_organ_with_any_name_has_a_plain_file_name(tmp_path):
    assert mask_path(tmp_path, "7", "left/right ../kidney").name == "7_left_right_.._kidney.nii.gz"
    assert masks_folder(tmp_path / "fold0.json") == tmp_path / "fold0_masks"


# ---- organs that are not there ---------------------------------------------------------------------------------


def test_organ_absent_in_the_support_is_counted(cases, tmp_path):
    labels = two_organs(1)
    write_case(tmp_path, "1", np.where(labels == 2, 3, labels))  # phantom: right kidney gone, left one there
    results = run(cases, dataset_name="phantom")
    summary = results["summary"]
    assert summary["n_not_evaluated"] == {"liver": 0, "right_kidney": 3, "left_kidney": 0, "spleen": 3, "aorta": 3}
    assert {record["label"] for record in results["cases"]} == {"liver"}  # no query has label 3
    assert summary["by_label"]["spleen"]["dice"] is None
    assert summary["mean"]["dice"] == 1


def test_organ_absent_in_a_query_makes_no_record(cases, tmp_path):
    labels = two_organs(6)
    write_case(tmp_path, "6", np.where(labels == 2, 0, labels))
    results = run(cases)
    assert ("6", "label_2") not in {(r["case"], r["label"]) for r in results["cases"]}
    assert len(results["cases"]) == 5
    assert results["summary"]["n"]["label_2"]["dice"] == 2
    assert results["summary"]["n_absent"] == 0


def test_a_value_that_is_undefined_is_left_out_of_the_means():
    record = {"false_positive_ml": None, "empty_prediction": False} | dict.fromkeys(METRICS, 0.5)
    empty = record | {"empty_prediction": True, "dice": 0.0, "hd95_mm": None}
    summary = summarise([record | {"label": "liver"}, empty | {"label": "liver"}], ["liver", "spleen"], {"liver": 0})
    assert summary["by_label"]["liver"]["dice"] == 0.25
    assert summary["by_label"]["liver"]["hd95_mm"] == 0.5
    assert summary["std"]["liver"]["dice"] == 0.25
    assert summary["n"]["liver"] | {"dice": 2, "hd95_mm": 1} == summary["n"]["liver"]
    assert summary["mean"]["dice"] == 0.25  # spleen has no scan
    assert summary["by_label"]["spleen"]["dice"] is None


# ---- supports --------------------------------------------------------------------------------------------------


def test_shots_join_and_their_order_does_not_matter(cases, tmp_path):
    """Each support knows one of the two greys of the queries' organ: together they find it all."""
    for number in (5, 6, 7):
        labels = two_organs(number)
        image = labels.astype(float)
        image[:, :5][labels[:, :5] == 1] = 30
        write_case(tmp_path, str(number), labels, image)
    labels = two_organs(1)
    write_case(tmp_path, "1", labels, np.where(labels == 1, 30, labels))
    both, reverse, single = (run(cases, support_ids=ids) for ids in (["1", "2"], ["2", "1"], ["1"]))
    assert both["summary"]["by_label"]["label_1"]["dice"] == 1
    assert single["summary"]["by_label"]["label_1"]["dice"] < 0.7
    assert both["cases"] == reverse["cases"]
    assert (both["shots"], single["shots"]) == (2, 1)
    assert run(cases, shots=2)["cases"] == both["cases"]  # the cases after the fold: 1 and 2


def test_shots_of_a_network_do_not_depend_on_order(phantoms, tiny_weights):
    weights, patients = load_weights(tiny_weights), find_cases(phantoms)
    forth, back = (
        evaluate(weights, patients, dataset_name="phantom", fold=0, support_ids=ids)["cases"]
        for ids in (["2", "3"], ["3", "2"])
    )
    assert len(forth) == 5
    for one, other in zip(forth, back, strict=True):
        assert one["dice"] == pytest.approx(other["dice"], abs=1e-3)


def test_a_support_without_the_organ_leaves_it_to_the_others(cases, tmp_path):
    labels = two_organs(2)
    write_case(tmp_path, "2", np.where(labels == 2, 0, labels))
    assert run(cases, support_ids=["1", "2"])["summary"]["by_label"]["label_2"]["dice"] == 1


def test_a_support_inside_the_fold_is_refused(cases):
    with pytest.raises(InputError, match="support 1, 6 is in fold 4"):
        run(cases, support_ids=["1", "6"])


def test_a_support_that_is_not_there_is_refused(cases):
    with pytest.raises(InputError, match="no case '99'"):
        run(cases, support_ids=["99"])


def test_a_support_named_twice_is_one_shot(cases):
    once, twice = run(cases, support_ids=["1"]), run(cases, support_ids=["1", "1"])
    assert once["cases"] == twice["cases"]
    assert twice["shots"] == 1


def test_supports_without_any_organ_are_refused(cases, tmp_path):
    write_case(tmp_path, "1", np.zeros((7, SIZE, SIZE)))
    with pytest.raises(InputError, match="support 1 has none of the tested organs; choose another support"):
        run(cases)
    write_case(tmp_path, "1", np.full((7, SIZE, SIZE), 9))  # not an organ of phantoms
    with pytest.raises(InputError, match="support 1 has none of the tested organs"):
        run(cases, dataset_name="phantom")


def test_a_support_without_labels_is_refused(cases, tmp_path):
    (tmp_path / "label_1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"case 1 has no label map .*label_1\.nii\.gz"):
        run(cases, support_ids=["1"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_name": "nowhere"}, "unknown data set 'nowhere'"),
        ({"fold": 5}, "no fold 5"),
        ({"setting": 2}, "no Setting 2"),
        ({"shots": 4}, "4 support cases of fold 4"),
    ],
)
def test_settings_that_can_not_be(cases, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(cases, **changes)


def test_setting_2_reports_its_group_alone(cases):
    results = run(cases, dataset_name="phantom", setting=2, group="upper")
    assert list(results["summary"]["by_label"]) == ["liver", "spleen"]
    assert (results["setting"], results["group"]) == (2, "upper")


# ---- folds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folds", "queries", "support"),
    [
        ("ouyang", ["5", "6", "7"], "1"),
        # The window is 1, 5, 6, 7.
        ("adnet", ["1", "5", "6"], "7"),
        ("qnet", ["1", "5", "7"], "6"),
    ],
)
def test_schemes_of_folds_choose_queries_and_support(cases, folds, queries, support):
    results = run(cases, folds=folds)
    assert (results["folds"], results["institution"]) == (folds, None)
    assert results["provenance"]["queries"] == queries
    assert results["provenance"]["supports"] == [support]
    assert sorted({record["case"] for record in results["cases"]}) == queries
    assert set(results["provenance"]["checksums"]) == {*queries, support}


def test_another_support_stays_possible_in_their_folds(cases):
    results = run(cases, folds="qnet", support_ids=["2", "3"])
    assert results["provenance"]["queries"] == ["1", "5", "7"]
    assert results["shots"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": "mine"}, "no folds 'mine'; give one of ouyang, adnet, qnet, li"),
        ({"folds": "adnet", "shots": 2}, r"2 support cases of fold 4 \(adnet\); give 1 to 1"),
        ({"folds": "qnet", "fold": 0}, "fold 0 of 7 cases is too small for folds qnet; use other folds"),
        ({"institution": "UCL"}, "institution 'UCL' with folds ouyang; use folds li"),
        ({"folds": "li", "institution": "UCL"}, "nothing says which institution"),
    ],
)
def test_folds_that_can_not_be(cases, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(cases, **changes)


def pelvises(folder: Path) -> list[Case]:
    """Four cases of two institutions with structures 1, 2 and 6: bladder, bone and rectum."""
    for number in range(1, 5):
        labels = two_organs(number)
        labels[2:5, 10:12, 12:15] = 6
        write_case(folder, str(number), labels)
    institutions = {"1": "UCL", "2": "Bergen", "3": "Bergen", "4": "UCL"}
    DatasetFile(
        dataset="pelvic", version="0", cases={case: {"institution": name} for case, name in institutions.items()}
    ).write_into(folder)
    return find_cases(folder)


def test_lis_folds_test_two_novel_structures_at_an_institution(tmp_path):
    cases = pelvises(tmp_path)
    options = {"dataset_name": "pelvic", "folds": "li", "institution": "Bergen"}
    results = run(cases, fold=1, **options)
    assert (results["folds"], results["institution"], results["fold"]) == ("li", "Bergen", 1)
    assert (results["provenance"]["supports"], results["provenance"]["queries"]) == (["2"], ["3"])
    assert [(r["case"], r["label"]) for r in results["cases"]] == [("3", "bone"), ("3", "rectum")]  # 2 and 6
    assert set(results["summary"]["by_label"]) == {"bone", "rectum"}
    assert results["summary"]["mean"]["dice"] == 1
    # Fold 0 tests 1 and 5; nobody has 5.
    summary = run(cases, fold=0, **options)["summary"]
    assert summary["n_not_evaluated"] == {"bladder": 0, "central_gland": 1}
    assert summary["by_label"]["bladder"]["dice"] == 1
    with pytest.raises(InputError, match="support 2 has none of the tested organs"):
        run(cases, fold=2, **options)  # 3 and 7
    with pytest.raises(ConfigError, match="no fold 4 of Li's; give 0 to 3"):
        run(cases, fold=4, **options)


def test_a_fold_of_anybodys_scans_is_cut_from_labelled_ones(cases, tmp_path):
    for number in ("0", "8"):
        write_case(tmp_path, number, two_organs(1))
        (tmp_path / f"label_{number}.nii.gz").unlink()
    results = run(find_cases(tmp_path))
    assert (results["provenance"]["queries"], results["provenance"]["supports"]) == (["5", "6", "7"], ["1"])


# ---- what dataset.json tells -----------------------------------------------------------------------------------


def test_organs_of_anybodys_scans_have_their_names(cases, tmp_path):
    DatasetFile(dataset="folder", version="0", labels={"left lobe": 1, "tumour": 9}).write_into(tmp_path)
    results = run(cases)
    assert list(results["summary"]["by_label"]) == ["left lobe", "label_2"]
    assert {record["label"] for record in results["cases"]} == {"left lobe", "label_2"}


def test_names_of_a_known_data_set_are_its_own(cases, tmp_path):
    DatasetFile(dataset="phantom", version="0", labels={"something": 1}).write_into(tmp_path)
    names = {record["label"] for record in run(cases, dataset_name="phantom")["cases"]}
    assert names == {"liver", "right_kidney"}


@pytest.mark.parametrize(
    ("of_data", "of_training", "expected"),
    [
        (None, [], []),
        ((), ["superpixel-ids"], ["superpixel-ids"]),
        (("extra-slice", "crop-origin"), [], ["crop-origin", "extra-slice"]),
        (
            ("extra-slice", "label-holes"),
            ["superpixel-ids", "extra-slice"],
            ["extra-slice", "label-holes", "superpixel-ids"],
        ),
    ],
)
def test_faults_are_those_of_the_data_and_of_the_training(cases, tmp_path, of_data, of_training, expected):
    if of_data is not None:
        DatasetFile(dataset="folder", version="0", legacy=of_data).write_into(tmp_path)
    assert run(cases, trained_on=TrainingRecord("chaos-t2", legacy=of_training))["legacy"] == expected


def test_setting_2s_rule_is_that_of_the_weights(cases):
    assert run(cases)["setting2"] is None
    trained_on = TrainingRecord("phantom", {}, setting=2, group="upper", setting2="all")
    options = {"dataset_name": "phantom", "setting": 2, "group": "upper"}
    assert run(cases, trained_on=trained_on, **options)["setting2"] == "all"


def test_a_damaged_dataset_json_is_refused(cases, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"schema": "psmnet-dataset-1", "labels": []}))
    with pytest.raises(InputError, match=r"dataset\.json is damaged .*; prepare the data again"):
        run(cases)


# ---- leakage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case_id", ["6", "1"])  # a query and the support
def test_weights_that_saw_a_case_by_its_id_are_refused(cases, case_id):
    trained_on = TrainingRecord("folder", {case_id: "another file", "2": "x"})
    with pytest.raises(LeakageError, match=f"trained on case {case_id}; .*allow_seen"):
        run(cases, trained_on=trained_on)


def test_weights_that_saw_a_file_under_another_name_are_refused(cases):
    trained_on = TrainingRecord("chaos-t2", {"40": cases[4].checksum()})
    with pytest.raises(LeakageError, match="trained on case 5"):
        run(cases, trained_on=trained_on)


def test_the_same_id_in_another_data_set_is_another_case(cases):
    assert seen_cases(TrainingRecord("chaos-t2", {"5": "x"}), "folder", {"5": "y"}) == []
    assert run(cases, trained_on=TrainingRecord("chaos-t2", {"5": "x"}))["provenance"]["seen_in_training"] == []


def test_cases_that_initial_weights_saw_in_another_data_set_count():
    """`train --init` records them as <dataset>/<id>, and again under the next data set."""
    for key in ("chaos-t2/5", "sabs/chaos-t2/5"):
        trained_on = TrainingRecord("folder", {"1": "x", key: "y"})
        assert seen_cases(trained_on, "chaos-t2", {"5": "z", "1": "z"}) == ["5"]
        assert seen_cases(trained_on, "folder", {"5": "z", "1": "z"}) == ["1"]


def test_cases_of_other_folds_may_be_seen(cases):
    results = run(cases, trained_on=TrainingRecord("folder", {"2": cases[1].checksum(), "3": "x"}))
    assert results["provenance"]["allow_seen"] is False


def test_allow_seen_goes_on_and_says_so(cases):
    trained_on = TrainingRecord("folder", {"6": "x", "2": "y"})
    provenance = run(cases, trained_on=trained_on, allow_seen=True)["provenance"]
    assert provenance["allow_seen"] is True
    assert provenance["seen_in_training"] == ["6"]
    assert provenance["trained_on"]["cases"] == {"6": "x", "2": "y"}


def test_folds_of_another_scheme_are_judged_by_the_cases_alone(cases, tmp_path):
    """Weights of Ouyang's fold 4 saw 2, 3 and 4: ADNet's fold 4 draws on the same window, its fold 3 doesn't."""
    trained_on = TrainingRecord("folder", {"2": "x", "3": "y", "4": "z"}, fold=4)
    assert run(cases, trained_on=trained_on, folds="adnet")["provenance"]["seen_in_training"] == []
    with pytest.raises(LeakageError, match="trained on case 4; use weights of this fold, or allow_seen"):
        run(cases, trained_on=trained_on, folds="adnet", fold=3)
    institutions = {case.id: {"institution": "UCL" if case.id in "45" else "Bergen"} for case in cases}
    DatasetFile(dataset="pelvic", version="0", cases=institutions).write_into(tmp_path)
    trained_on = TrainingRecord("pelvic", dict(trained_on.cases), fold=4)
    options = {"dataset_name": "pelvic", "folds": "li", "fold": 0}
    with pytest.raises(LeakageError, match="trained on case 4;"):
        run(cases, trained_on=trained_on, institution="UCL", **options)
    results = run(cases, trained_on=trained_on, institution="UCL", allow_seen=True, **options)
    assert results["provenance"]["seen_in_training"] == ["4"]


@pytest.mark.parametrize(
    ("setting", "group", "message"),
    [
        (1, None, "trained in Setting 1, where .* visible; train in Setting 2 for group upper, or allow_seen"),
        (2, "lower", "trained for group lower, not upper; train for group upper, or allow_seen"),
        (2, "upper", None),
        (None, None, None),  # synthetic images show no test class
    ],
)
def test_setting_2_asks_for_weights_of_its_own(cases, setting, group, message):
    options = {"dataset_name": "phantom", "setting": 2, "group": "upper"}
    options["trained_on"] = TrainingRecord("phantom", {}, setting=setting, group=group)
    if message is not None:
        with pytest.raises(LeakageError, match=message):
            run(cases, **options)
    assert run(cases, **options, allow_seen=message is not None)["provenance"]["allow_seen"] is (message is not None)


@pytest.mark.parametrize("group", [None, "upper"])
def test_setting_1_takes_weights_of_any_setting(cases, group):
    run(cases, dataset_name="phantom", trained_on=TrainingRecord("phantom", {}, setting=2 if group else 1, group=group))


# ---- the record ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [1.0, -1.0])
def test_schema_is_that_of_the_protocols(cases, answer):
    results = run(cases, ByGreyValue(answer))
    assert set(results) == TOP_LEVEL
    assert set(results["summary"]) >= {"mean", "by_label", "std", "n", "n_absent", "n_empty_prediction"}
    provenance = results["provenance"]
    assert provenance["checksums"] == {case.id: case.checksum() for case in (*cases[4:], cases[0])}
    assert provenance["weights_sha256"] == "0" * 64
    assert {"queries", "supports", "trained_on", "versions", "machine", "seconds"} <= set(provenance)
    assert (results["protocol"], results["folds"], results["seed"]) == ("ep1", "ouyang", 3)
    assert "EP1" in provenance["note"]


@pytest.mark.parametrize("answer", [1.0, -1.0])
def test_record_is_json_without_nan_and_free_of_paths(cases, answer, tmp_path):
    results = run(cases, ByGreyValue(answer))
    text = json.dumps(results, allow_nan=False)
    assert json.loads(text) == results
    assert str(tmp_path) not in text
