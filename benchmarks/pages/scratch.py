"""Tables of the methods from scratch, of the bundled weights, and of whole studies."""

import re
from pathlib import Path

import numpy as np

from pages.adapted import fold_table, minutes
from pages.records import (
    FOLDS,
    NAMES,
    ORGANS,
    PAIR_COLUMNS,
    PROTOCOLS,
    PSMNET_COLUMNS,
    ROOT,
    limited,
    mean,
    pair,
    pair_rows,
    pick,
    study,
    table,
    title,
)
from pages.sources import COMMIT, RECIPES, STUDIES, TREES
from psmnet.evaluation import ResultsFile
from psmnet.evaluation.bench import BenchRecipe, Row, read_recipe

CHANGES = {  # what can be changed after training
    "psmnet": {
        "split_rounds=0": "without splitting",
        "split_foreground=false": "background split only",
        "grid_at_inference=4": "4 x 4 windows at inference",
        "grid_at_inference=0": "no windows at inference",
        "weigh_area_at_inference=true": "area weights at inference",
    },
    "alpnet": {
        "grid_at_inference=4": "4 x 4 windows at inference",
        "weigh_area_at_inference=true": "area weights at inference",
    },
    "panet": {
        "grid=2": "2 x 2 windows",
        "grid=4": "4 x 4 windows",
        "grid=2,weigh_area=true": "2 x 2 windows, area weights",
    },
    "qnet": {"refinement=0": "without refinement"},
}
METHODS = {
    "superpixels": ("psmnet", "alpnet", "registration", "panet", "adnet", "qnet"),
    "supervoxels": ("psmnet", "alpnet", "adnet", "registration", "qnet"),
}


def scratch(kind: str) -> str:
    """Every method from scratch on one kind of pseudo-labels."""
    rows = []
    for method in METHODS[kind]:
        ep1, ep2, blind = (pick("benchmark", method, protocol=p, pseudolabels=kind) for p in ("ep1", "ep2", "blind"))
        organs = ep1.summaries("dice")
        rows.append([title(ep1), *(organs[organ].mean for organ in ORGANS), mean(ep1), mean(ep2), mean(blind)])
    columns = ["method", *(f"EP1 {organ.replace('_', ' ')}" for organ in ORGANS), "EP1", "EP2", "whole scans"]
    return table(columns, rows)


def scratch_folds() -> str:
    """Each fold of it."""
    return fold_table(
        (f"{title(row)}{f', {kind}' if row.trained else ''}: {PROTOCOLS[protocol]}", row)
        for kind, methods in METHODS.items()
        for protocol in ("ep1", "blind")
        for method in methods
        if kind == "superpixels" or method != "registration"
        for row in [pick("benchmark", method, protocol=protocol, pseudolabels=kind)]
    )


def scratch_pairs() -> str:
    """PSMNet against each other method, folds 1 to 4, which took no part in any choice."""
    rows = []
    for kind, methods in METHODS.items():
        for method in methods[1:]:
            for shots in (1, 3, 5):
                seeds = None if method in ("alpnet", "registration") and (kind, shots) == ("superpixels", 1) else 0
                both = (
                    limited(pick("benchmark", m, own=False, pseudolabels=kind, shots=shots, seed=seeds), range(1, 5))
                    for m in ("psmnet", method)
                )
                first, second = both
                rows += pair_rows(title(second), pair(first, second), kind, shots)
    return table(["PSMNet minus", "trained on", "shots", *PSMNET_COLUMNS], rows)


def after_training() -> str:
    """Settings changed after training, EP1."""
    rows = []
    for method, changes in CHANGES.items():
        own = pick("benchmark", method, pseudolabels="superpixels")
        rows.append((f"{title(own)}, as trained", own))
        rows += [(f"{NAMES[method]}: {words}", pick("benchmark", method, change)) for change, words in changes.items()]
    return fold_table(rows)


PARTS = {  # of PSMNet, in training
    None: "windows of the background, parts of 30 positions and more",
    "split_rounds=0": "windows only, no splitting",
    "minimal_area=8": "windows, parts of 8 positions and more",
    "minimal_area=1": "windows, parts of any size",
    "grid=0,grid_at_inference=0,minimal_area=8": "no windows, parts of 8 positions and more",
    "grid=0,grid_at_inference=0,minimal_area=1": "no windows, parts of any size",
    "attention=text": "windows, parts of 30 positions and more, cross attention",
    "attention=text,grid=0,grid_at_inference=0,minimal_area=1": "no windows, parts of any size, cross attention",
}


def parts() -> str:
    """PSMNet trained with and without each of its parts."""
    rows = []
    for variant, words in PARTS.items():
        ep1, blind = (pick("parts", "psmnet", variant, protocol=protocol) for protocol in ("ep1", "blind"))
        rows.append([words, *(mean(ep1, fold) for fold in FOLDS), mean(ep1), mean(blind)])
    return table(["PSMNet with", *(f"fold {fold}" for fold in FOLDS), "EP1", "whole scans"], rows)


def part_pairs() -> str:
    """What single parts give, scan by scan."""
    bare = "grid=0,grid_at_inference=0,minimal_area=1"
    rows = []
    for protocol in ("ep1", "blind"):
        for words, first, second in (
            ("cross attention, with windows", "attention=text", None),
            ("cross attention, without windows", f"attention=text,{bare}", bare),
            ("windows, beside parts of any size", "minimal_area=1", bare),
            ("parts of 30 positions and more, with windows", None, "split_rounds=0"),
        ):
            both = (pick("parts", "psmnet", variant, protocol=protocol) for variant in (first, second))
            rows += pair_rows(words, pair(*both), PROTOCOLS[protocol])
    return table(["what is gained by", "protocol", *PAIR_COLUMNS], rows)


def lottery(kind: str) -> str:
    """One shot from each of five supports, then three and five at once."""
    rows = []
    for method in METHODS["superpixels"]:
        if kind == "supervoxels" and method in ("panet", "registration"):
            continue
        one = pick("benchmark", method, own=False, pseudolabels=kind)
        means = {fold: _by_support(one, fold) for fold in FOLDS}
        spread = float(np.mean([np.std(values, ddof=1) for values in means.values()]))
        values = [value for of_fold in means.values() for value in of_fold]
        more = [mean(pick("benchmark", method, pseudolabels=kind, shots=shots)) for shots in (3, 5)]
        rows.append([title(one), mean(one), min(values), max(values), spread, *more])
    columns = ("method", "one shot", "lowest", "highest", "standard deviation over supports", "3 shots", "5 shots")
    return table(columns, rows)


def _by_support(row: Row, fold: int) -> list[float]:
    cells = [cell for cell in row.files if cell.fold == fold]
    return [value for cell in cells if (value := row.mean("dice", [cell])) is not None]


def seeds() -> str:
    """The same training from other seeds, EP1 on superpixels."""
    rows = []
    for method in ("psmnet", "alpnet"):
        for seed in (0, 1, 2):
            five = pick("benchmark", method, own=False, pseudolabels="superpixels", seed=seed)
            own = pick("benchmark", method, pseudolabels="superpixels", seed=seed)
            whole = len({cell.fold for cell in own.files}) == len(FOLDS)
            every = [mean(own), mean(five)] if whole else [None, None]
            rows.append([NAMES[method], seed, mean(own, 0), mean(five, 0), *every])
    return table(["method", "seed", "fold 0", "fold 0, five supports", "all folds", "all folds, five supports"], rows)


def bundled() -> str:
    """The bundled weights as they are."""
    return fold_table(
        (words, pick("bundled", "psmnet", "bundled", protocol=protocol, seed=None))
        for protocol, words in PROTOCOLS.items()
    )


def before() -> str:
    """The recipe of 1,600 steps from the first bundled weights."""
    rows = []
    for protocol in ("ep1", "blind"):
        for variant in dict.fromkeys(file.variant for file in study("recipe") if file.protocol == protocol):
            row = pick("recipe", "psmnet", variant, protocol=protocol, pseudolabels="supervoxels")
            rows.append((f"{PROTOCOLS[protocol]}, {variant or 'as trained'}", row))
    return fold_table(rows)


def sources() -> str:
    """Which records there are, and where the raw files lie."""
    rows = []
    for name, words in STUDIES.items():
        files = study(name)
        records = sum(len(file.records) for file in files)
        rows.append(
            [
                f"`records/{name}.csv.gz`",
                words,
                len(files),
                f"{records:,}",
                f"`{TREES[name]}`" if name in TREES else None,
            ]
        )
    return table(["table", "what", "results files", "records", f"tree of `results/` at {COMMIT}"], rows)


def commands() -> str:
    """What makes each study from nothing, and what it costs."""
    rows = []
    done: dict[str, set[object]] = {name: set() for name in STUDIES}  # recipes of a study share its folder
    for name, (of_study, words) in RECIPES.items():
        recipe = read_recipe(ROOT / "benchmarks" / "recipes" / f"{name}.yaml")
        runs = {task.run_folder(Path()): task for task in recipe.tasks() if task.entry.is_trained}
        steps = sum(task.spec().recipe().train.steps for run, task in runs.items() if run not in done[of_study])
        files = {file.source: file for file in made(name, recipe) if file.source not in done[of_study]}
        trainings = len(set(runs) - done[of_study])
        done[of_study] |= {*runs, *files}
        seconds = sum(file.seconds or 0 for file in files.values())
        cost = (minutes(steps) + seconds / 60) / 2
        rows.append([f"`{name}`", words, trainings, f"{steps:,}", len(files), f"{cost:,.0f}"])
    return table(["recipe", "makes", "trainings", "steps in all", "results files", "minutes on two cores"], rows)


def made(name: str, recipe: BenchRecipe) -> list[ResultsFile]:
    """The results in the records that a recipe makes."""
    files = study(RECIPES[name][0])
    if name == "bundled":  # these were made one by one
        return [file for file in files if file.setting == 1]
    names = planned(recipe)
    return [file for file in files if current_path(file.source) in names]


def current_path(source: str) -> str:
    """A results file's path with the names that settings have today."""
    return re.sub(r"_in_use\b", "_at_inference", source)


def planned(recipe: BenchRecipe) -> set[str]:
    """Names of the results files of a recipe."""
    return {
        task.results_file(Path(), row, scoring).as_posix()
        for task in recipe.tasks()
        for row in task.rows
        for scoring in task.scores(supports(task.fold))
    }


def supports(fold: int) -> tuple[str, ...]:
    """The support cases of a fold, its own first."""
    ordered = sorted(pick("final", "psmnet", own=False).files.values(), key=lambda file: not file.own_support)
    return tuple(file.supports[0] for file in ordered if file.fold == fold)


BLOCKS = {
    "scratch-superpixels": lambda: scratch("superpixels"),
    "scratch-supervoxels": lambda: scratch("supervoxels"),
    "scratch-folds": scratch_folds,
    "scratch-pairs": scratch_pairs,
    "after-training": after_training,
    "parts": parts,
    "part-pairs": part_pairs,
    "supports-superpixels": lambda: lottery("superpixels"),
    "supports-supervoxels": lambda: lottery("supervoxels"),
    "seeds": seeds,
    "bundled": bundled,
    "before": before,
    "sources": sources,
    "commands": commands,
}
