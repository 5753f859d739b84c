"""The pages of results/ say what the records give, and the records are what the recipes make."""

import re
import sys

import pytest

from helpers.places import REPOSITORY
from psmnet.evaluation.bench.comparison import Row
from psmnet.evaluation.bench.gather import gather_tables
from psmnet.evaluation.bench.recipe import read_recipe
from psmnet.evaluation.results_reader import find_results

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import tables
from pages import records, scratch, sources

RESULTS = REPOSITORY / "results"
RECIPES = sorted(path.stem for path in (REPOSITORY / "benchmarks" / "recipes").glob("*.yaml"))
FIGURE = re.compile(r"(?<![\w.])0\.\d{2,}|(?<!\w)[+\N{MINUS SIGN}-]\d+\.\d+|\d+ (?:seconds|minutes|hours)\b")


@pytest.mark.parametrize("page", tables.PAGES)
def test_every_block_is_what_the_records_give(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert tables.BLOCK.search(text)
    assert tables.rewritten(text) == text, "run python benchmarks/tables.py"


def test_every_picture_is_what_the_records_give():
    for name, picture in tables.pictures().items():
        assert (REPOSITORY / name).read_text(encoding="utf-8") == picture, "run python benchmarks/tables.py"


@pytest.mark.parametrize("page", tables.PAGES)
def test_figures_stand_in_blocks_only(page):
    text = tables.BLOCK.sub("", (REPOSITORY / page).read_text(encoding="utf-8"))
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)  # settings and versions in commands
    assert not FIGURE.findall(text)


def test_a_figure_that_is_changed_by_hand_is_noticed():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "| 0.80 |" in text
    assert tables.rewritten(text.replace("| 0.80 |", "| 0.81 |", 1)) == text


def test_the_folder_is_small():
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert len(files) <= 30
    assert sum(path.stat().st_size for path in files) <= 2_000_000


def test_the_report_of_the_records_gives_the_figures_of_the_pages():
    """What psmnet report --own-support prints of the records, reached without the code of the pages."""
    files, _ = find_results([RESULTS / "records" / "final.csv.gz"])
    own = [file for file in files if file.own_support and file.setting == 1]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    results = (RESULTS / "README.md").read_text(encoding="utf-8")
    for table in gather_tables(own)[0]:
        means = {row.name: row.mean("dice") for row in table.rows}
        assert len(means) == 6
        for method in ("ALPNet", "ADNet", "Q-Net", "PANet"):
            mean = means[method.lower().replace("-", "")]
            column = {"ep1": 1, "blind": 2}[table.conditions.protocol]
            (line,) = [line for line in readme.splitlines() if line.startswith(f"| {method} |")]
            assert line.split(" | ")[column] == f"{mean:.2f}"
        assert f"| {means['psmnet']:.3f} |" in results
    assert "| 0.802 |" in results


def test_names_say_what_was_on():
    row = records.pick("final", "psmnet")
    assert records.title(row) == "PSMNet without cross attention, windows in place of splitting"
    files = {
        cell: file.model_copy(update={"model": file.model | {"attention": "text", "grid_at_inference": 0}})
        for cell, file in row.files.items()
    }
    assert records.title(Row("psmnet", files)) == "PSMNet"
    main = [name for name in sources.STUDIES if name != "parts"]  # which switches them on and off
    everywhere = [file for name in main for file in records.study(name) if file.method == "psmnet"]
    assert {file.model["attention"] for file in everywhere} == {"off"}
    shown = [file for file in everywhere if file.variant in (None, "bundled", records.REFINED)]
    shown = [file for file in shown if "alignment" in file.model]  # not the first preset, which choices.md is about
    settings = ("minimal_area", "grid", "grid_at_inference", "split_rounds", "split_foreground")
    assert {tuple(file.model[name] for name in settings) for file in shown} == {(30, 4, 2, 3, True)}


def test_every_recipe_has_its_records_and_a_row():
    assert set(RECIPES) == set(sources.RECIPES)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "bundled"])
def test_a_recipe_makes_just_the_records_that_it_is_said_to_make(name):
    recipe = read_recipe(REPOSITORY / "benchmarks" / "recipes" / f"{name}.yaml")
    files = scratch.made(name, recipe)
    assert {scratch.current_path(file.source) for file in files} == scratch.planned(recipe)
    trained = [file for file in files if file.trained_on]
    for file in trained:
        assert (file.steps, file.training_precision, file.preset) == (recipe.steps, recipe.precision, recipe.preset)
    assert all((file.start_weights is None) == (recipe.init is None) for file in trained)
    weights = {
        (file.method, file.fold, file.seed, file.pseudolabels, file.group, str(file.model) if name == "parts" else "")
        for file in trained
    }
    twice = name == "supervoxels_supports"  # Q-Net's last fold, as results/README.md says
    assert len({file.weights_sha256 for file in trained}) == len(weights) + twice  # one training each


def test_raw_files_are_named_with_their_checksums():
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    tables = {path.name.removesuffix(".csv.gz") for path in (RESULTS / "records").iterdir()}
    assert set(sources.STUDIES) == tables
    assert set(sources.TREES) == tables - {"final_again", "parts"}  # made later
    assert all(tree in page for tree in sources.TREES.values())
