from pathlib import Path

import pytest

from helpers.places import REPOSITORY
from psmnet.errors import ConfigError, InputError, PsmnetError
from psmnet.evaluation.bench.recipe import BenchRecipe, MethodEntry, Scoring, Setting, read_recipe

FULL = """
dataset: chaos-t2
methods:
  - psmnet
  - {method: psmnet, set: [attention=text], after: [split_rounds=0]}
  - {method: adnet, kind: supervoxels}
  - registration
settings: [1, {setting: 2, group: upper}]
folds: [0, 3]
seeds: [0, 1]
protocols: [ep1, blind]
support_cases: 5
shots: [1, 3]
each_support: true
steps: 700
precision: bfloat16
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def full(tmp_path: Path) -> BenchRecipe:
    return read_recipe(written(tmp_path, FULL))


def test_a_recipe_is_read_with_its_defaults(tmp_path):
    recipe = read_recipe(written(tmp_path, "dataset: chaos-t2\nmethods: [psmnet]"))
    assert recipe == BenchRecipe("chaos-t2", (MethodEntry("psmnet"),))
    assert recipe.settings == (Setting(1),)
    assert recipe.folds == (0, 1, 2, 3, 4)


def test_every_method_is_trained_once_a_setting_seed_and_fold_and_registration_never(full):
    jobs = list(full.tasks())
    assert len(jobs) == 2 * 2 * 2 * 3 + 2 * 2  # settings x seeds x folds x methods, and settings x folds
    assert len({(job.setting, job.entry, job.fold, job.seed) for job in jobs}) == len(jobs)
    assert {job.seed for job in jobs if job.entry.method == "registration"} == {None}
    assert [job.entry.method for job in jobs[:4]] == ["psmnet", "psmnet", "adnet", "registration"]  # fold by fold


def test_places_of_trainings_and_results(full):
    jobs = {(job.setting.name(), job.entry.trained_name(), job.fold, job.seed): job for job in full.tasks()}
    out, runs = Path("out"), Path("runs")
    plain = jobs["s1", "psmnet", 0, 0]
    assert plain.run_folder(runs) == Path("runs/chaos-t2/s1/psmnet/fold0_seed0")
    assert plain.results_file(out, plain.entry, Scoring("ep1", 1, None)) == Path(
        "out/chaos-t2/s1/ep1/psmnet/fold0_seed0.json"
    )
    assert plain.results_file(out, plain.entry, Scoring("ep1", 3, None)).name == "fold0_seed0_shots3.json"
    assert plain.results_file(out, plain.entry, Scoring("ep1", 1, "13")).name == "fold0_seed0_support13.json"
    changed = jobs["s2-upper", "psmnet-attention=text", 3, 1]
    assert changed.run_folder(runs) == Path("runs/chaos-t2/s2-upper/psmnet-attention=text/fold3_seed1")
    file = changed.results_file(out, changed.entry, Scoring("ep1", 1, None))
    assert file.parent.name == "psmnet-attention=text,split_rounds=0"
    assert jobs["s1", "adnet-supervoxels", 0, 0].run_folder(runs).parent.name == "adnet-supervoxels"
    untrained = jobs["s1", "registration", 3, None]
    file = untrained.results_file(out, untrained.entry, Scoring("blind", 1, None))
    assert file == Path("out/chaos-t2/s1/blind/registration/fold3.json")


def test_no_two_jobs_share_a_results_file(full):
    files = [
        job.results_file(Path(), row, score)
        for job in full.tasks()
        for row in job.rows
        for score in job.scores(("8", "10", "13"))
    ]
    assert len(set(files)) == len(files)


def test_scores_are_every_protocol_with_every_choice_of_supports(full):
    job = next(full.tasks())
    assert job.scores(("8", "10", "13")) == [
        Scoring("ep1", 1, None),
        Scoring("ep1", 3, None),
        Scoring("ep1", 1, "10"),
        Scoring("ep1", 1, "13"),
        Scoring("blind", 1, None),
        Scoring("blind", 3, None),
        Scoring("blind", 1, "10"),
        Scoring("blind", 1, "13"),
    ]


def test_rows_that_differ_after_training_share_it(tmp_path):
    text = "dataset: chaos-t2\nfolds: [0]\nmethods: [psmnet, panet, {method: psmnet, after: [split_rounds=0]}]"
    jobs = list(read_recipe(written(tmp_path, text)).tasks())
    assert [[row.name() for row in job.rows] for job in jobs] == [["psmnet", "psmnet-split_rounds=0"], ["panet"]]


def test_the_training_is_what_the_recipe_says(full):
    spec = next(job for job in full.tasks() if job.setting.group == "upper" and job.seed == 1).spec()
    assert (spec.dataset, spec.fold, spec.setting, spec.group, spec.seed) == ("chaos-t2", 0, 2, "upper", 1)
    assert (spec.steps, spec.precision, spec.support_cases, spec.method) == (700, "bfloat16", 5, "psmnet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "recipe: give names and values"),
        ("[1]", "recipe: give names and values"),
        ("dataset: [chaos-t2", "is no YAML"),
        ("dataset: chaos-t2", "methods"),
        ("dataset: chaos-t2\nmethods: []", "no methods"),
        ("dataset: chaos-t2\nmethods: psmnet", "methods: give a list, as in [1, 2]"),
        ("dataset: chaos-t2\nmethods: [unet]", "unknown method 'unet'; give one of psmnet, panet"),
        ("dataset: chaos-t2\nmethods: [psment]", "unknown method 'psment'; did you mean psmnet"),
        ("dataset: chaos-t2\nmethods: [3]", "methods.0.method: Input should be a valid string"),
        ("dataset: chaos-t2\nmethods: [psmnet, psmnet]", "methods with one twice"),
        ("dataset: chaos-t2\nmethods: [{method: psmnet, sets: [a=1]}]", "methods.0.sets: no such name"),
        ("dataset: chaos-t2\nmethods: [{method: psmnet, kind: cubes}]", "kind 'cubes'; give superpixels or"),
        ("dataset: chaos-t2\nmethods: [{method: registration, after: [a=1]}]", "after: a=1 for registration"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nfold: 3", "fold: no such name"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nfolds: 3", "folds: give a list"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nfolds: [one]", "folds.0: Input should be a valid integer"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nfolds: [true]", "folds.0: Input should be a valid integer"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nsteps: true", "steps: Input should be a valid integer"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nmethods: [panet]", "methods is given twice"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nfolds: [1, 1]", "folds with one twice"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nprotocols: [ep3]", "protocol ep3; give any of ep1"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nshots: [2]", "shots 2 of 1 support cases"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nshots: [0]", "shots 0 of 1 support cases"),
        ("dataset: cmr\nmethods: [psmnet]\nsettings: [{setting: 2, group: upper}]", "has no Setting 2"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nsettings: [2]", "Setting 2 needs a group"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nseeds: [-1]", "seeds (-1,); give 0 to"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nsetting2: some", "setting2 'some'; give any or all"),
        ("dataset: chaos-t2\nmethods: [psmnet]\nscheme: mine", "scheme 'mine'; give one of ouyang"),
        (
            "dataset: chaos-t2\nmethods: [{method: psmnet, set: [grid=0]}, {method: psmnet, after: [grid=0]}]",
            "two rows are called psmnet-grid=0",
        ),
        ("dataset: " + 5000 * "[", "is no YAML"),
        ("dataset: mars\nmethods: [psmnet]", "unknown data set 'mars'"),
    ],
)
def test_recipes_that_can_not_be_say_why_in_one_line(tmp_path, text, message):
    with pytest.raises(PsmnetError) as caught:
        read_recipe(written(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"can't read recipe .*absent.yaml"):
        read_recipe(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "benchmarks" / "recipes").glob("*.yaml")), ids=lambda path: path.name
)
def test_shipped_recipes_can_be_followed(path):
    recipe = read_recipe(path)
    for job in recipe.tasks():
        assert job.seed is None or job.spec().recipe().train.steps > 0


def test_a_setting_that_the_method_lacks_is_refused_when_it_is_trained(tmp_path):
    recipe = read_recipe(written(tmp_path, "dataset: chaos-t2\nmethods: [{method: panet, set: [split_rounds=1]}]"))
    with pytest.raises(ConfigError, match="unknown setting 'split_rounds'"):
        next(recipe.tasks()).spec().recipe()
