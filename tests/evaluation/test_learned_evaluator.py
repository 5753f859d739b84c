"""Learned networks on a fold: which figures are transductive, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.learned import certain_student, learned_from
from psmnet.data.store import Case, find_cases
from psmnet.errors import ConfigError, InputError, LeakageError
from psmnet.evaluation.evaluator import evaluate
from psmnet.evaluation.metrics import METRICS
from psmnet.evaluation.results_reader import parse_results
from psmnet.segmentation.learned_weights import LearnedWeights, TaughtBy
from psmnet.volume import content_digest


@pytest.fixture(scope="module")
def cases(phantoms: Path) -> list[Case]:
    """Fold 0 tests case 1 with support 2."""
    return find_cases(phantoms)


def taught(cases: list[Case], labelled: str, cohort: str) -> LearnedWeights:
    by_id = {case.id: case for case in cases}
    weights = learned_from([cases[1].image()], certain_student(0.0, 1.0, 0.0))  # liver everywhere
    return replace(
        weights,
        sha256="f" * 64,
        taught_by=TaughtBy(
            labelled=tuple(by_id[case].checksum() for case in labelled),
            cohort=tuple(content_digest(by_id[case].image()) for case in cohort),
            steps=7,
            seed=3,
            init="e" * 64,
        ),
    )


def run(weights: LearnedWeights, cases: list[Case], **options) -> dict:
    return evaluate(weights, cases, dataset_name="phantom", fold=0, protocol="cohort", **options)


@pytest.mark.parametrize(
    ("cohort", "method", "variant", "seen"),
    [
        ("13456", "learn", "student,transductive", ["1"]),
        ("3456", "learn", "final,inductive", []),
        ("", "student", None, []),
    ],
)
def test_whether_queries_were_in_the_cohort_is_found_by_their_content(cases, cohort, method, variant, seen):
    results = run(taught(cases, "2", cohort), cases)
    assert (results["method"], results["variant"]) == (method, variant)
    its = results["provenance"]
    assert (its["supports"], its["own_support"], its["queries_in_cohort"]) == (["2"], True, seen)
    assert (results["shots"], results["seed"], its["trained_on"]["steps"]) == (1, 3, 7)
    assert "transductive" in its["note"]
    (read,) = [parse_results(results, Path("x.json"), "x.json", "0" * 64)]
    assert read.training is not None
    assert read.weights_sha256 == "f" * 64


def test_it_is_scored_on_whole_scans_of_the_organs_that_it_learned(cases):
    results = run(taught(cases, "2", "3456"), cases)
    scored = {record["label"]: record for record in results["cases"]}
    assert set(scored) == {"liver", "spleen"}
    assert {record["slices"] for record in scored.values()} == {12}
    liver = cases[0].labels().array_zyx == 1
    assert scored["liver"]["dice"] == pytest.approx(2 * liver.sum() / (liver.sum() + liver.size))
    assert scored["spleen"]["empty_prediction"]
    assert results["summary"]["n_not_evaluated"] == {
        "liver": 0,
        "right_kidney": 1,
        "left_kidney": 1,
        "spleen": 0,
        "aorta": 1,
    }
    assert set(METRICS) <= set(scored["liver"])


def test_a_query_whose_labels_it_learned_from_is_refused(cases):
    weights = taught(cases, "12", "3456")
    with pytest.raises(LeakageError, match="the network learned from the labels of case 1"):
        run(weights, cases)
    results = run(weights, cases, allow_seen=True)
    assert results["provenance"]["seen_in_training"] == ["1"]
    assert results["shots"] == 2


def test_labelled_scans_from_elsewhere_are_named_by_their_checksum(cases):
    weights = taught(cases, "", "3456")
    weights = replace(weights, taught_by=replace(weights.taught_by, labelled=("0123456789abcdef" * 4,)))
    results = run(weights, cases)
    assert (results["provenance"]["supports"], results["provenance"]["own_support"]) == (["0123456789ab"], False)


def test_what_it_ignores_is_refused(cases):
    weights = taught(cases, "2", "3456")
    for options, message in (
        ({"protocol": "ep1"}, "is evaluated by the protocol cohort, not ep1"),
        ({"support_ids": ["3"]}, "has its labelled scans already"),
        ({"shots": 2}, "has its labelled scans already"),
        ({"setting": 2, "group": "upper"}, "leave them out"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate(weights, cases, **({"dataset_name": "phantom", "fold": 0, "protocol": "cohort"} | options))


def test_organs_that_it_did_not_learn(cases):
    weights = taught(cases, "2", "")
    other = replace(weights, organs={7: weights.organs[1]}, parts={7: 1})
    with pytest.raises(InputError, match="learned none of the tested organs"):
        run(other, cases, device=torch.device("cpu"))
