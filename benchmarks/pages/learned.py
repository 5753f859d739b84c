"""Tables and the picture of learning from a cohort, from the records that the recipes of recipes/cohort make."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from pages.records import FOLDS, ORGANS, PAIR_COLUMNS, ROOT, limited, mean, pair, pair_rows, pick, study, table
from pages.sources import COHORT_RECIPES, COHORT_STUDY
from psmnet.catalog import dataset
from psmnet.data import split_cases
from psmnet.evaluation.bench import CohortRecipe, Paired, Row, compare_paired, read_recipe

TRANSDUCTIVE = {
    "first masks (`segment`)": "first",
    "vote, transductive": "vote,transductive",
    "learned network alone, transductive": "student,transductive",
    "`learn`, transductive": "final,transductive",
}
NEW_SCANS = "final,inductive"
SHOTS = (1, 2, 3, 5, 10)
HARD_CASE = "15"  # whose first masks misplace an organ nearly everywhere


def learn(variant: str, *, own: bool = True, shots: int = 1, seed: int | None = None) -> Row:
    """Masks of one stage."""
    return pick(COHORT_STUDY, "learn", variant, own=own, protocol="cohort", shots=shots, seed=seed)


def student(shots: int) -> Row:
    """The same network, trained on labels alone."""
    return pick(COHORT_STUDY, "student", protocol="cohort", shots=shots, seed=None)


def without_case(row: Row, case: str) -> Row:
    """A row without the cells in which this case is labelled."""
    return Row(row.name, {cell: file for cell, file in row.files.items() if case not in cell.supports})


def stages() -> str:
    """Every stage: each fold's own support, and five supports of each fold one at a time."""
    rows: list[list[object]] = []
    for name, variant in TRANSDUCTIVE.items():
        own, five = learn(variant), learn(variant, own=False)
        organs = own.summaries("dice")
        found = [organs[organ].mean for organ in ORGANS]
        rows.append([name, *found, mean(own), mean(five), mean(without_case(five, HARD_CASE))])
    heads = ["stage", *(organ.replace("_", " ") for organ in ORGANS), "mean"]
    return table([*heads, "mean, five supports", f"five supports without case {HARD_CASE}"], rows)


def stage_folds() -> str:
    """Each fold of it, each fold's own support; choices were made on fold 0."""
    rows = []
    for name, variant in TRANSDUCTIVE.items():
        row = learn(variant)
        later = mean(limited(row, range(1, 5)))
        rows.append([name, *(mean(row, fold) for fold in FOLDS), mean(row), later])
    return table(["stage", *(f"fold {fold}" for fold in FOLDS), "mean", "mean of folds 1 to 4"], rows)


def by_support() -> str:
    """Every labelled scan, over the folds that it is a support of."""
    rows_of = {name: learn(variant, own=False) for name, variant in TRANSDUCTIVE.items()}
    cells = {cell.supports[0]: None for row in rows_of.values() for cell in row.files}
    rows: list[list[object]] = []
    for case in sorted(cells, key=int):
        found = [row.mean("dice", [cell for cell in row.files if cell.supports == (case,)]) for row in rows_of.values()]
        first, final = found[0], found[-1]
        gain = None if first is None or final is None else f"{100 * (final - first):+.1f}"
        rows.append([case, *found, gain])
    return table(["labelled case", *rows_of, "`learn` minus first masks, points"], rows)


def labelled_scans() -> str:
    """What more labelled scans bring, beside the same network on all labels outside the fold."""
    top, rows = ceiling(), []
    for shots in SHOTS:
        kinds = (learn("final,transductive", shots=shots), learn(NEW_SCANS, shots=shots), student(shots))
        below = [_points_below(row, top) for row in kinds]
        rows.append([str(shots), *(cell for row, less in zip(kinds, below, strict=True) for cell in (mean(row), less))])
    rows.append(["all outside the fold", None, None, None, None, mean(top), None])
    heads = ("`learn`, transductive", "`learn`, inductive", "student on the labels alone")
    return table(["labelled scans", *(h for name in heads for h in (name, "points below the ceiling"))], rows)


def left_out() -> str:
    """New scans: each fold's queries left out of the cohort against queries in it, everything else equal."""
    inductive = learn(NEW_SCANS)
    rows: list[list[object]] = []
    for name in ("`learn`, transductive", "learned network alone, transductive"):
        rows += pair_rows(name, pair(inductive, learn(TRANSDUCTIVE[name])))
    return table(["`learn`, inductive, minus", *PAIR_COLUMNS], rows)


def recipes() -> str:
    """What each recipe makes, beyond those before it, and how long that took."""
    seconds = {file.source: file.seconds or 0 for file in study(COHORT_STUDY)}
    done: set[str] = set()
    rows = []
    for name, words in COHORT_RECIPES.items():
        made = [[path for path in files if path not in done] for files in planned(name)]
        made = [files for files in made if files]
        hours = sum(max(seconds.get(path, 0) for path in files) for files in made) / 3600
        rows.append([f"`{name}`", words, len(made), sum(map(len, made)), f"{hours:.1f}"])
        done |= {path for files in made for path in files}
    return table(["recipe", "makes", "learnings", "results files", "hours"], rows)


def planned(name: str) -> list[list[str]]:
    """Names of the results files of a recipe's learnings."""
    recipe = read_recipe(ROOT / "benchmarks" / "recipes" / "cohort" / f"{name}.yaml")
    assert isinstance(recipe, CohortRecipe)
    facts = dataset(recipe.dataset)
    splits = [(fold, split_cases(facts, facts.case_ids, fold, recipe.support_cases)) for fold in recipe.folds]
    return [
        [path.as_posix() for path in learning.results_files(Path(), recipe.dataset).values()]
        for learning in recipe.learnings(splits)
    ]


def ceiling() -> Row:
    """The student on the labels of all scans outside the fold."""
    shots = {
        file.shots for file in pick(COHORT_STUDY, "student", protocol="cohort", shots=None, seed=None).files.values()
    }
    return student(max(shots))


def by_case(row: Row) -> dict[str, float]:
    """Mean Dice of each query over its organs."""
    return {case: float(np.mean(list(organs.values()))) for case, organs in row.by_scan("dice").items()}


def paired_by_case(first: Row, second: Row) -> Paired | None:
    """Two rows query by query, whatever their labelled scans: these differ between one label and all."""
    one, other = by_case(first), by_case(second)
    common = [case for case in one if case in other]
    return compare_paired([one[case] for case in common], [other[case] for case in common]) if common else None


def _points_below(row: Row, top: Row) -> str | None:
    found = paired_by_case(top, row)
    return found and f"{100 * found.difference:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


# ---- the picture -----------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 380, 60, 200, 20, 50
COLOURS = ("#1565c0", "#64b5f6", "#6a7480", "#2e7d32")


def picture() -> str:
    """Mean Dice by number of labelled scans, one line a method and the ceiling across, as SVG."""
    return drawn(
        {
            "learn, transductive": _line(lambda n: learn("final,transductive", shots=n)),
            "learn, inductive": _line(lambda n: learn(NEW_SCANS, shots=n)),
            "student, labels alone": _line(student),
        },
        mean(ceiling()) or 0.0,
    )


def _line(row_of: Callable[[int], Row]) -> dict[int, float]:
    found = {shots: mean(row_of(shots)) for shots in SHOTS}
    return {shots: value for shots, value in found.items() if value is not None}


def drawn(lines: Mapping[str, Mapping[int, float]], top: float) -> str:
    """Lines over the number of labelled scans, and the ceiling."""
    low = np.floor(10 * min([top, *(v for line in lines.values() for v in line.values())])) / 10
    most = max(SHOTS)

    def x(shots: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * np.log(shots) / np.log(most)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (1 - low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for tick in np.arange(low, 1.001, 0.05):
        parts.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#e3e6ea"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    for shots in SHOTS:
        parts.append(f'<text x="{x(shots):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{shots}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">labelled scans</text>')
    parts.append(f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})">mean Dice</text>')
    *ends, at_top = _apart([*(y(line[max(line)]) for line in lines.values()), y(top)])
    for (name, line), end, colour in zip(lines.items(), ends, COLOURS, strict=False):
        points = " ".join(f"{x(shots):.1f},{y(value):.1f}" for shots, value in line.items())
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(n):.1f}" cy="{y(v):.1f}" r="3.5" fill="{colour}"><title>{v:.3f}</title></circle>'
            for n, v in line.items()
        ]
        parts.append(_name(name, end, colour))
    colour = COLOURS[-1]
    parts.append(f'<path d="M{LEFT} {y(top):.1f}H{WIDTH - RIGHT}" stroke="{colour}" stroke-dasharray="5 4"/>')
    parts.append(_name("student, all labels", at_top, colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _name(text: str, height: float, colour: str) -> str:
    return f'<text x="{WIDTH - RIGHT + 10}" y="{height + 4:.1f}" fill="{colour}">{escape(text)}</text>'


def _apart(heights: Sequence[float], least: float = 16) -> list[float]:
    """Heights of names, moved so that none covers another."""
    found = list(heights)
    order = sorted(range(len(found)), key=lambda number: found[number])
    for above, below in itertools.pairwise(order):
        found[below] = max(found[below], found[above] + least)
    return found


BLOCKS = {
    "learned-stages": stages,
    "learned-folds": stage_folds,
    "learned-supports": by_support,
    "learned-labels": labelled_scans,
    "learned-left-out": left_out,
    "learned-recipes": recipes,
}
