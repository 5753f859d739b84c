"""Tables of learning from a cohort, from records whose figures are known."""

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers.places import REPOSITORY
from helpers.results_maker import results
from psmnet.evaluation.results_reader import parse_results
from psmnet.evaluation.results_records import ResultsFile

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import tables
from pages import learned, records

STAGES = {"first": 0.60, "vote,transductive": 0.65, "student,transductive": 0.70, "final,transductive": 0.80}
ORGANS = ("liver", "right_kidney", "left_kidney", "spleen")


def made(fold: int, supports: tuple[str, ...], method: str, variant: str | None, dice: float, *, own: bool = True):
    cases = {f"{fold}{n}": dict.fromkeys(ORGANS, dice + 0.01 * n) for n in (0, 1)}
    content = results(
        cases,
        method=method,
        fold=fold,
        supports=supports,
        protocol="cohort",
        variant=variant,
        trained={"preset": "student", "pseudolabels": None},
    )
    content["provenance"]["own_support"] = own
    name = f"{method}-{variant}/fold{fold}{'+'.join(supports)}.json"
    return parse_results(content, Path(name), name, "0" * 64)


def all_results() -> Iterator[ResultsFile]:
    for fold in range(5):
        own = str(10 + fold)
        for variant, dice in STAGES.items():
            yield made(fold, (own,), "learn", variant, dice)
            yield made(fold, ("15",), "learn", variant, dice - 0.2, own=False)
        yield made(fold, (own,), "learn", "final,inductive", 0.79)
        for shots in (2, 3, 5, 10):
            several = tuple(str(100 + n) for n in range(shots))
            yield made(fold, several, "learn", "final,transductive", 0.80 + 0.01 * shots)
            yield made(fold, several, "learn", "final,inductive", 0.79 + 0.01 * shots)
        for shots in (1, 2, 3, 5, 10, 16):
            several = (own,) if shots == 1 else tuple(str(100 + n) for n in range(shots))
            yield made(fold, several, "student", None, 0.50 + 0.025 * shots)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    files = tuple(all_results())
    monkeypatch.setattr(records, "study", lambda name: files)
    monkeypatch.setattr(learned, "study", lambda name: files)


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_stages_with_the_own_support_and_with_five():
    found = rows(learned.stages())
    assert [row[0] for row in found] == list(learned.TRANSDUCTIVE)
    assert found[0][1:] == ["0.605"] * 5 + ["0.505", "0.605"]  # own, both supports, without case 15
    assert found[-1][-3:] == ["0.805", "0.705", "0.805"]


def test_folds_apart_from_the_one_on_which_was_chosen():
    assert rows(learned.stage_folds())[-1][1:] == ["0.805"] * 7


def test_every_labelled_case():
    found = {row[0]: row[1:] for row in rows(learned.by_support())}
    assert list(found) == ["10", "11", "12", "13", "14", "15"]
    assert found["15"] == ["0.405", "0.455", "0.505", "0.605", "+20.0"]


def test_more_labelled_scans_beside_the_ceiling():
    found = rows(learned.labelled_scans())
    assert [row[0] for row in found] == ["1", "2", "3", "5", "10", "all outside the fold"]
    assert found[0][1:] == [
        "0.805",
        "10.0 (10.0 to 10.0)",
        "0.795",
        "11.0 (11.0 to 11.0)",
        "0.530",
        "37.5 (37.5 to 37.5)",
    ]
    assert found[-1][5] == "0.905"


def test_new_scans_against_scans_of_the_cohort():
    found = rows(learned.left_out())
    assert [row[:4] for row in found] == [
        ["`learn`, transductive", "-1.0", "-1.0", "-1.0"],
        ["learned network alone, transductive", "+9.0", "+9.0", "+9.0"],
    ]


def test_every_table_names_transductive_use():
    for name, block in learned.BLOCKS.items():
        assert "transductive" in block() or name == "learned-recipes"  # which has no figures


def test_recipes_with_what_each_adds():
    found = {row[0]: row[2:4] for row in rows(learned.recipes())}
    assert found == {
        "`cohort`": ["20", "100"],  # 25 places of four stages; five labelled scans are shared by two folds
        "`labelled_scans`": ["75", str(5 + 4 * 5 * 5 + 5 * 5 + 5)],  # left out; more labels; labels alone; ceiling
        "`left_out`": ["0", "0"],
    }


def test_a_picture_is_drawn_where_a_page_shows_it(monkeypatch, tmp_path):
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("results/README.md",))
    page = tmp_path / "results" / "README.md"
    page.write_text("no picture")
    assert tables.pictures() == {}
    page.write_text("![Dice by number of labelled scans](labelled_scans.svg)")
    assert tables.pictures() == {"results/labelled_scans.svg": learned.picture()}


def test_the_picture_has_every_figure_and_names_that_do_not_cover_each_other():
    svg = ElementTree.fromstring(learned.picture())
    titles = [float(title.text or "") for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[:5] == [0.805, 0.825, 0.835, 0.855, 0.905]
    assert len(titles) == 3 * 5
    texts = list(svg.iter("{http://www.w3.org/2000/svg}text"))[-4:]
    assert [re.sub(",.*", "", text.text or "") for text in texts] == ["learn", "learn", "student", "student"]
    heights = sorted(float(text.get("y", "0")) for text in texts)
    assert all(b - a >= 15.9 for a, b in itertools.pairwise(heights))
