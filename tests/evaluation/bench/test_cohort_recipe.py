"""Recipes of learning from a cohort: what follows from them."""

from pathlib import Path

import pytest

from helpers.places import REPOSITORY
from psmnet.catalog import DATASETS
from psmnet.data.splits import split_cases
from psmnet.errors import PsmnetError
from psmnet.evaluation.bench.cohort_recipe import CohortEntry, CohortRecipe, Learning
from psmnet.evaluation.bench.recipe import read_recipe

RECIPES = REPOSITORY / "benchmarks" / "recipes" / "cohort"
CHAOS = DATASETS["chaos-t2"]
IDS = CHAOS.case_ids


def learnings(recipe: CohortRecipe) -> list[Learning]:
    splits = [(fold, split_cases(CHAOS, IDS, fold, recipe.support_cases)) for fold in recipe.folds]
    return recipe.learnings(splits)


def recipe_of(*methods: str, **options) -> CohortRecipe:
    entries = tuple(CohortEntry(method) for method in methods or ("learn",))
    return CohortRecipe("chaos-t2", "cohort", entries, **options)


def test_five_supports_of_each_fold_are_twenty_learnings_that_share_what_they_have_in_common():
    found = learnings(recipe_of(support_cases=5, each_support=True, cohorts=("transductive",)))
    assert sorted(learning.supports for learning in found) == sorted((case,) for case in IDS)
    cells = [(scoring.fold, learning.supports) for learning in found for scoring in learning.scorings]
    assert len(cells) == len(set(cells)) == 25
    (shared,) = [learning for learning in found if learning.supports == (IDS[8],)]
    assert [(s.fold, s.support) for s in shared.scorings] == [(0, IDS[8]), (1, None)]
    assert shared.queries == IDS[:8]
    assert shared.left_out == ()


def test_queries_are_left_out_fold_by_fold():
    found = learnings(recipe_of(support_cases=5, each_support=True, cohorts=("inductive",)))
    assert len(found) == 25
    for learning in found:
        (scoring,) = learning.scorings
        assert learning.left_out == scoring.queries
        assert learning.stages == ("final",)


def test_labelled_scans_are_nested_and_never_of_the_fold():
    recipe = recipe_of("learn", "student", support_cases=10, shots=(1, 2, 3, 5, 10), ceiling=True, folds=(3,))
    found = learnings(recipe)
    query = set(IDS[12:16])
    by_method: dict[str, list[tuple[str, ...]]] = {}
    for learning in found:
        assert not query & set(learning.supports)
        by_method.setdefault(learning.entry.method, []).append(learning.supports)
    order = (*IDS[16:], *IDS[:12])
    assert by_method["learn"] == [order[:n] for n in (1, 2, 3, 5, 10) for _ in ("transductive", "inductive")]
    assert by_method["student"] == [*(order[:n] for n in (1, 2, 3, 5, 10)), order]  # the last is the ceiling
    assert {learning.scorings[0].queries for learning in found} == {IDS[12:16]}


@pytest.mark.parametrize(
    ("name", "count", "cells"),
    [("cohort", 20, 25 * 4), ("labelled_scans", 80, 25 * (4 + 1 + 1) + 5), ("left_out", 10, 5 * (4 + 1))],
)
def test_shipped_recipes_can_be_followed(name, count, cells, tmp_path):
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert isinstance(recipe, CohortRecipe)
    found = learnings(recipe)
    assert len(found) == count
    files = {path for learning in found for path in learning.results_files(tmp_path, recipe.dataset).values()}
    assert len(files) == cells


def test_every_shipped_recipe_is_read():
    found = {path.stem: read_recipe(path) for path in RECIPES.glob("*.yaml")}
    assert set(found) == {"cohort", "labelled_scans", "left_out", "own_scans"}
    assert {recipe.dataset for recipe in found.values()} == {"chaos-t2", "folder"}


def test_names_of_files_and_folders(tmp_path):
    found = learnings(recipe_of("learn", "student", folds=(0,), support_cases=2, shots=(1, 2), seeds=(0, 3)))
    names = [
        path.relative_to(tmp_path).as_posix()
        for learning in found
        for path in learning.results_files(tmp_path, "chaos-t2").values()
    ]
    assert len(names) == len(set(names)) == 2 * 2 * (4 + 1 + 1)  # seeds, shots, stages
    assert "chaos-t2/s1/cohort/learn-first/fold0_seed3_shots2.json" in names
    assert "chaos-t2/s1/cohort/learn-final,transductive/fold0_seed0.json" in names
    assert "chaos-t2/s1/cohort/learn-final,inductive/fold0_seed0.json" in names
    assert "chaos-t2/s1/cohort/student/fold0_seed0_shots2.json" in names
    runs = [learning.run_folder(tmp_path, "chaos-t2") for learning in found]
    assert len(set(runs)) == len(found)
    assert runs[0] == tmp_path / "chaos-t2" / "cohort" / "learn" / "support8_seed0"
    assert runs[1].name == "support8_without1+2+3+5_seed0"


def test_a_run_of_many_long_ids_has_a_short_name(tmp_path):
    ids = tuple(f"scan_of_the_patient_number_{n}" for n in range(20))
    names = {Learning(CohortEntry("learn"), ids[:n], (), 0).run_folder(tmp_path, "folder").name for n in (15, 16)}
    assert len(names) == 2
    assert max(map(len, names)) < 100


def test_settings_are_part_of_the_name():
    entry = CohortEntry("learn", ("share=0.3", "rounds=2"))
    assert entry.name("final", "inductive") == "learn-final,inductive,rounds=2,share=0.3"
    assert entry.name() == "learn-rounds=2,share=0.3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [segment]", "unknown method 'segment'; give one of learn, student"),
        ("methods: [{method: learn, set: [seed=1]}]", "set with seed=1; give seeds and steps"),
        ("methods: []", "no methods"),
        ("cohorts: [other]", "unknown cohort 'other'; give one of transductive, inductive"),
        ("shots: [2]", "shots 2 of 1 support cases"),
        ("shots: [0]", "shots 0 of 1 support cases"),
        ("scheme: li", "scheme 'li'; give one of ouyang, adnet, qnet"),
        ("steps: 0", "steps is 0; give 1 or more"),
        ("seeds: [-1]", "seeds (-1,); give 0 to"),
        ("protocols: [ep1]", "protocols: no such name"),
        ("settings: [1]", "settings: no such name"),
        ("folds: [1, 1]", "folds with one twice"),
    ],
)
def test_recipes_that_can_not_be_say_why_in_one_line(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"protocol: cohort\ndataset: chaos-t2\n{text}\n")
    with pytest.raises(PsmnetError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_kind_of_recipe_says_where_the_protocol_belongs(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("dataset: chaos-t2\nmethods: [psmnet]\nprotocols: [ep1, cohort]\n")
    with pytest.raises(PsmnetError, match="cohort among protocols; give it a recipe of its own: protocol: cohort"):
        read_recipe(path)


def test_methods_may_be_names_alone(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text("protocol: cohort\ndataset: chaos-t2\nmethods: [learn, {method: learn, set: [share=0.5]}]\n")
    assert read_recipe(path) == CohortRecipe(
        "chaos-t2", "cohort", (CohortEntry("learn"), CohortEntry("learn", ("share=0.5",)))
    )
