"""The log of every variant that was tried on labels."""

from pages.adapted import adapted
from pages.records import PROTOCOLS, mean, table, title, variants

COLUMNS = ("training", "variant", "protocol", "fold", "support", "steps", "seed", "background_weight", "margin")
AVERAGED = "mean of"


def of_study(name: str) -> str:
    """Rows of a study, with the columns that say something; of several supports or folds the mean."""
    rows = [entry for entry in variants() if entry["study"] == name]
    averaged = {entry["training"] for entry in rows if entry["support"].startswith(AVERAGED)}
    rows = [e for e in rows if e["support"].startswith(AVERAGED) or e["training"] not in averaged]
    groups: dict[tuple[str, ...], list[float]] = {}
    told = [column for column in COLUMNS if len({entry[column] for entry in rows}) > 1 and column != "fold"]
    for entry in rows:
        groups.setdefault(tuple(entry[column] for column in told), []).append(float(entry["dice"]))
    same = [f"{c.replace('_', ' ')} {rows[0][c]}" for c in COLUMNS if c not in told and len({e[c] for e in rows}) == 1]
    same = [text for text in same if not text.endswith(" ")]
    cells = [[*key, sum(values) / len(values)] for key, values in groups.items()]
    head = f"All: {'; '.join(same)}.\n\n" if same else ""
    return head + table([*(column.replace("_", " ") for column in told), "Dice"], cells)


def longer() -> str:
    """What 700 steps make of the weights of a longer pretraining, beside the bundled ones."""
    rows = []
    for protocol in ("ep1", "blind"):
        for own, words in ((True, "own"), (False, "five")):
            for row in adapted(protocol, own=own)[:-1]:
                file = next(iter(row.files.values()))
                name = f"{file.method}-supervoxels" + (f"-{file.variant}" if file.variant else "")
                dice: dict[str, list[float]] = {}
                for entry in variants():
                    key = (entry["study"], entry["training"], entry["variant"], entry["protocol"])
                    if key == ("longer pretraining", "longer", name, protocol):
                        dice.setdefault(entry["fold"], []).append(float(entry["dice"]))
                        if own and entry["support"] != "own":
                            dice[entry["fold"]].pop()
                means = [sum(values) / len(values) for values in dice.values()]
                rows.append([title(row), PROTOCOLS[protocol], words, mean(row), sum(means) / len(means)])
    return table(["method", "protocol", "supports", "from the bundled", "from the longer pretraining"], rows)


def as_they_are() -> str:
    """Weights of the longer pretraining without more training."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for entry in variants():
        if entry["study"] == "longer pretraining" and entry["steps"] == "0":
            words = entry["variant"]
            words = "phantoms" if words.startswith("phantoms") else words
            weights = found.setdefault((words, PROTOCOLS[entry["protocol"]]), {})
            weights.setdefault(entry["training"], []).append(float(entry["dice"]))
    rows = [[*key, *(sum(its[name]) / len(its[name]) for name in ("bundled", "longer"))] for key, its in found.items()]
    return table(["weights without more training", "protocol", "bundled", "longer"], rows)


STUDIES = {
    "log-form": "form of matching",
    "log-settings": "settings at inference",
    "log-parts": "parts",
    "log-parts-bundled": "parts of the first bundled weights",
    "log-matching-bundled": "matching of the first bundled weights",
    "log-attention": "cross attention",
    "log-pseudolabels": "pseudo-labels",
    "log-first": "first recipes",
}
BLOCKS = {
    **{block: lambda name=name: of_study(name) for block, name in STUDIES.items()},
    "log-longer": longer,
    "log-longer-as-they-are": as_they_are,
}
