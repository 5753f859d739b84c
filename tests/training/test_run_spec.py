import dataclasses
from pathlib import Path

import pytest

from helpers.training_runs import CPU, SPEC
from psmnet.errors import ConfigError
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"steps": 0}, "steps is 0"),
        ({"pairs": 0}, "pairs is 0"),
        ({"dataset": "atlantis"}, "unknown data set 'atlantis'"),
        ({"fold": 5}, "no fold 5; give 0 to 4"),
        ({"support_cases": 5}, "5 support cases"),
        ({"setting": 2}, "Setting 2 needs a group; give upper or lower"),
        ({"setting": 2, "group": "middle"}, "group 'middle' in Setting 2"),
        ({"group": "upper"}, "group 'upper' in Setting 1"),
        ({"setting": 3}, "no Setting 3"),
        ({"setting2": "some"}, "no rule 'some' for Setting 2; give any or all"),
        ({"kind": "voxels"}, "no pseudo-labels 'voxels'; give one of superpixels, supervoxels"),
        (
            {"legacy": ("typo",)},
            "'typo' is not a known bug that training can reproduce; give any of superpixel-ids, class-slices",
        ),
        ({"legacy": ("superpixel-ids", "crop-origin")}, "'crop-origin' is not a known bug that training"),
        ({"legacy": ("superpixel-ids",), "kind": "supervoxels"}, "the known bug superpixel-ids with supervoxels"),
        ({"folds": "mine"}, "no folds 'mine'; give one of ouyang, adnet, qnet, li"),
        ({"folds": "qnet"}, "fold 0 of 6 cases is too small for folds qnet; use other folds"),
        ({"folds": "adnet", "support_cases": 2}, r"2 support cases of fold 0 \(adnet\); give 1 to 1"),
        ({"institution": "UCL"}, "institution 'UCL' with folds ouyang; use folds li"),
        ({"folds": "li", "institution": "UCL"}, "nothing says which institution a case comes from"),
    ],
)
def test_specs_that_make_no_sense(data: Path, tmp_path: Path, changes: dict[str, object], match: str):
    spec = dataclasses.replace(SPEC, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=match):
        run_training(spec, tmp_path / "run", data=data, device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_changes_and_steps_stand_over_the_presets():
    recipe = RunSpec("phantom", steps=7, changes=("attention=text", "split_rounds=1")).recipe()
    found = recipe.model.settings
    assert (recipe.train.steps, found["attention"], found["split_rounds"]) == (7, "text", 1)
    with pytest.raises(ConfigError, match="unknown setting 'depth'"):
        RunSpec("phantom", changes=("depth=3",)).recipe()
    with pytest.raises(ConfigError, match="split_rounds is -1; give 0 to 8"):
        RunSpec("phantom", changes=("split_rounds=-1",)).recipe()
