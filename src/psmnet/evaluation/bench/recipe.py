"""What a benchmark consists of: a recipe (YAML), and the cells that follow from it."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError

from psmnet.catalog import FOLDS, PROTOCOLS, SETTING2_RULES, dataset
from psmnet.data import excluded_classes
from psmnet.data.pseudolabels import KINDS
from psmnet.errors import ConfigError, InputError, require, unknown
from psmnet.evaluation.bench.cohort_recipe import CohortRecipe
from psmnet.evaluation.cohort_results import COHORT
from psmnet.models import METHODS, current_texts
from psmnet.training import RunSpec

_STRICT = ConfigDict(extra="forbid")
Whole = Annotated[int, Strict()]  # YAML's true is no 1


@dataclass(frozen=True)
class MethodEntry:
    """One row of the table to be.

    Attributes:
        method: name in the catalog.
        set: `NAME=VALUE` settings that it is trained with.
        after: `NAME=VALUE` settings that are changed after training, so that no training of its own is needed.
        kind: superpixels or supervoxels that it is trained on.
        weights: weights that are scored as they are, without training (`bundled`, a run, a file); None trains.
    """

    __pydantic_config__ = _STRICT

    method: str
    set: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    kind: str = "superpixels"
    weights: str | None = None

    def __post_init__(self) -> None:
        for name in ("set", "after"):
            object.__setattr__(self, name, current_texts(getattr(self, name)))
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        require(self.kind in KINDS, f"kind {self.kind!r}", f"give {' or '.join(KINDS)}")
        require(
            METHODS[self.method].trained or not self.after,
            f"after: {', '.join(self.after)} for {self.method}, which is not trained",
            "give it as set",
        )
        what = f"weights for {self.method}"
        require(METHODS[self.method].trained or self.weights is None, f"{what}, which is not trained", "leave them out")
        require(self.weights is None or not self.set, f"{what} with set, which is for training", "give it as after")

    @property
    def is_trained(self) -> bool:
        """Whether it has trainings of its own."""
        return METHODS[self.method].trained and self.weights is None

    def trained_name(self) -> str:
        """Folder of its training: the method, and what differs from the preset and from superpixels."""
        return _name(self.method, self.kind, self.set, self.weights)

    def name(self) -> str:
        """Folder of its results."""
        return _name(self.method, self.kind, (*self.set, *self.after), self.weights)


@dataclass(frozen=True)
class Setting:
    """Setting 1, or Setting 2 with its group."""

    __pydantic_config__ = _STRICT

    setting: Whole = 1
    group: str | None = None

    def name(self) -> str:
        """Folder: s1, s2-upper, s2-lower."""
        return f"s{self.setting}" + (f"-{self.group}" if self.group else "")


@dataclass(frozen=True)
class BenchRecipe:
    """A benchmark: methods x settings x folds x seeds, each trained once and scored by every protocol.

    Attributes:
        dataset: name in the catalog.
        methods: rows of the table.
        settings: 1, and 2 with a group.
        folds: which.
        seeds: of initial weights and episodes.
        protocols: in the catalog.
        scheme: of the folds, in `catalog.FOLDS`.
        institution: held out by Li's folds.
        setting2: rule by which Setting 2 drops slices.
        support_cases: cases after a fold that are kept out of training as supports.
        shots: numbers of support cases to score with, the first ones after the fold.
        each_support: score with each single support case, too.
        preset, steps, precision: of the trainings; None keeps the preset's.
        init: weights that every training begins with (`bundled`, a run, a file); None from scratch.
        encoder_weights: torchvision's weights for a ResNet encoder, a file or URL; None for none.
        encoder_sha256: checksum of `encoder_weights`.
    """

    __pydantic_config__ = _STRICT

    dataset: str
    methods: tuple[MethodEntry, ...]
    settings: tuple[Setting, ...] = (Setting(),)
    folds: tuple[Whole, ...] = (0, 1, 2, 3, 4)
    seeds: tuple[Whole, ...] = (0,)
    protocols: tuple[str, ...] = ("ep1",)
    scheme: str = "ouyang"
    institution: str | None = None
    setting2: str = "any"
    support_cases: Whole = 1
    shots: tuple[Whole, ...] = (1,)
    each_support: bool = False
    preset: str = "compact"
    steps: Whole | None = None
    precision: str | None = None
    init: str | None = None
    encoder_weights: str | None = None
    encoder_sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("methods", "settings", "folds", "seeds", "protocols", "shots"):
            values = getattr(self, name)
            require(len(values) > 0, f"no {name}", f"give at least one of {name}")
            require(len(set(values)) == len(values), f"{name} with one twice", "give each once")
        unknown = [name for name in self.protocols if name not in PROTOCOLS]
        require(not unknown, f"protocol {', '.join(unknown)}", f"give any of {', '.join(PROTOCOLS)}")
        require(
            COHORT not in self.protocols,
            f"{COHORT} among protocols",
            f"give it a recipe of its own: protocol: {COHORT}",
        )
        most = max(self.shots)
        require(
            min(self.shots) >= 1 and most <= self.support_cases,
            f"shots {', '.join(map(str, self.shots))} of {self.support_cases} support cases",
            "give shots from 1 to support_cases",
        )
        require(min(self.seeds) >= 0 and max(self.seeds) < 2**32, f"seeds {self.seeds}", "give 0 to 4294967295")
        require(self.setting2 in SETTING2_RULES, f"setting2 {self.setting2!r}", f"give {' or '.join(SETTING2_RULES)}")
        require(
            (self.encoder_weights is None) == (self.encoder_sha256 is None),
            "encoder_weights and encoder_sha256 belong together",
            "give both or neither",
        )
        require(self.scheme in FOLDS, f"scheme {self.scheme!r}", f"give one of {', '.join(FOLDS)}")
        names = [entry.name() for entry in self.methods]
        twice = {name for name in names if names.count(name) > 1}
        require(not twice, f"two rows are called {', '.join(twice)}", "leave one out: both would be one results file")
        for setting in self.settings:
            excluded_classes(dataset(self.dataset), setting.setting, setting.group)

    def tasks(self) -> Iterator["BenchTask"]:
        """All trainings with the rows that share each, fold by fold: an unfinished benchmark has whole folds."""
        shared: dict[str, list[MethodEntry]] = {}
        for entry in self.methods:
            shared.setdefault(entry.trained_name(), []).append(entry)
        for setting, seed, fold, rows in product(self.settings, self.seeds, self.folds, shared.values()):
            if rows[0].is_trained:
                yield BenchTask(self, tuple(rows), setting, fold, seed)
            elif seed == self.seeds[0]:
                yield BenchTask(self, tuple(rows), setting, fold, None)


@dataclass(frozen=True)
class Scoring:
    """One results file: a training scored by one protocol with one choice of supports."""

    protocol: str
    shots: int
    support: str | None


@dataclass(frozen=True)
class BenchTask:
    """One training, or none of a training-free method (seed None), and the results that come of it.

    Attributes:
        recipe: where it stands.
        rows: of the table, those that share the training: they differ in what is changed after it.
        setting, fold, seed: its place.
    """

    recipe: BenchRecipe
    rows: tuple[MethodEntry, ...]
    setting: Setting
    fold: int
    seed: int | None

    @property
    def entry(self) -> MethodEntry:
        """What is trained, as any of the rows says."""
        return self.rows[0]

    @property
    def name(self) -> str:
        """Where it lies: the same below the folder of trainings and that of results, but for the protocol."""
        seed = "" if self.seed is None else f"_seed{self.seed}"
        held_out = f"{self.recipe.institution}_" if self.recipe.institution else ""
        return f"{held_out}fold{self.fold}{seed}"

    def title(self) -> str:
        """For people."""
        return f"{self.setting.name()} {self.entry.trained_name()} {self.name}"

    def run_folder(self, runs: Path) -> Path:
        """Where its training lies."""
        return runs / self.recipe.dataset / self.setting.name() / self.entry.trained_name() / self.name

    def results_file(self, out: Path, row: MethodEntry, score: Scoring) -> Path:
        """Where one of its results lies (protocols.md)."""
        more = f"_support{score.support}" if score.support else f"_shots{score.shots}" if score.shots > 1 else ""
        folder = out / self.recipe.dataset / self.setting.name() / score.protocol / row.name()
        return folder / f"{self.name}{more}.json"

    def spec(self) -> RunSpec:
        """Its training."""
        recipe = self.recipe
        return RunSpec(
            dataset=recipe.dataset,
            fold=self.fold,
            folds=recipe.scheme,
            setting=self.setting.setting,
            group=self.setting.group,
            institution=recipe.institution,
            setting2=recipe.setting2,
            kind=self.entry.kind,  # type: ignore[arg-type]  # checked against the kinds there are
            support_cases=recipe.support_cases,
            method=self.entry.method,
            preset=recipe.preset,
            precision=recipe.precision,
            steps=recipe.steps,
            seed=self.seed or 0,
            init=recipe.init,
            encoder_weights=recipe.encoder_weights,
            encoder_sha256=recipe.encoder_sha256,
            changes=self.entry.set,
        )

    def scores(self, supports: tuple[str, ...]) -> list[Scoring]:
        """What it is scored by, given the ids of its support cases; the first one is already the single shot."""
        recipe = self.recipe
        others = supports[1:] if recipe.each_support else ()
        return [
            score
            for protocol in recipe.protocols
            for score in (
                *(Scoring(protocol, shots, None) for shots in recipe.shots),
                *(Scoring(protocol, 1, case) for case in others),
            )
        ]


def read_recipe(path: Path) -> BenchRecipe | CohortRecipe:
    """Read a recipe; a method or setting that is but a name or number may be written as such.

    Returns:
        A recipe for learning from a cohort where it says `protocol: cohort`, else one for methods that compare slices.

    Raises:
        InputError: it is missing or no YAML.
        ConfigError: a name or value that can't be.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a safe one
    except OSError as error:
        raise InputError(f"can't read recipe {path} ({error.strerror or error})", "give a YAML file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text", "save it as UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is no YAML: {error}", "fix it") from error
    if isinstance(content, dict):
        for name, field in (("methods", "method"), ("settings", "setting")):
            if isinstance(content.get(name), list):
                content[name] = [e if isinstance(e, dict) else {field: e} for e in content[name]]
    kind = CohortRecipe if isinstance(content, dict) and content.get("protocol") == COHORT else BenchRecipe
    try:
        return TypeAdapter[BenchRecipe | CohortRecipe](kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "recipe"
        wrong = f"{path}: {place}: {_SAID.get(first['type'], first['msg'])}"
        raise ConfigError(wrong, "see docs/benchmark.md for what a recipe holds") from error


_SAID = {  # pydantic speaks of Python's types
    "tuple_type": "give a list, as in [1, 2]",
    "dataclass_type": "give names and values",
    "unexpected_keyword_argument": "no such name",
    "missing": "it is missing",
}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but a name given twice is an error: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose names differ."""
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"{name} is given twice")
        return super().construct_mapping(node, deep)


def _name(method: str, kind: str, changes: tuple[str, ...], weights: str | None) -> str:
    parts = [kind] if kind != "superpixels" else []
    if weights is not None:
        parts = [Path(weights).name.removesuffix(".safetensors")]
    return "-".join([method, *parts, *([",".join(sorted(changes))] if changes else [])])
