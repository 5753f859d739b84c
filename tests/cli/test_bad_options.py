"""Options and evaluations that can't be: one line on standard error, exit code 2 and nothing half-written."""

import re
from pathlib import Path

import pytest

from helpers.commands import only_line
from helpers.tiny import save_tiny_weights
from psmnet.data.store import find_cases
from psmnet.models.weights import TrainingRecord


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "a", "--suport", "x"], "option '--suport'; did you mean --support. see psmnet segment --help$"),
        (["segment", "a.nii.gz", "--out", "o"], "Missing option '--support'"),
        (["segment", "--support", "a", "b", "--out", "o"], "Missing argument 'QUERY.*; see psmnet segment --help$"),
        (["evaluate", "data", "--dataset", "chaos-t2", "--out", "r.json"], "Missing option '--fold'"),
        (["evaluate", "d", "--dataset", "folder", "--fold", "one", "--out", "r.json"], "'one' is not a valid integer"),
        (["evaluate", "d", "--dataset", "folder", "--fold", "0", "--out", "r", "--protocol", "ep9"], "'ep9' is not"),
        (["train", "data", "--dataset", "folder"], "Missing option '--out'"),
        (["segmnt"], "No such command 'segmnt'; did you mean segment. see psmnet --help$"),
        (["zzz"], "No such command 'zzz'; see psmnet --help$"),
        (["phantom", "dir", "--cases", "0"], "0 is not in the range"),
        (["train", "nowhere", "--dataset", "folder", "--out", "run"], "no folder nowhere"),
        (["train", "nowhere", "--dataset", "chaos", "--out", "run"], "unknown data set 'chaos'; give one of chaos-t2"),
        (["train", ".", "--dataset", "folder", "--out", "run", "--preset", "huge"], "unknown preset 'huge'"),
        (["train", ".", "--dataset", "folder", "--out", "run", "--steps", "0"], "steps is 0"),
        (["train", ".", "--dataset", "folder", "--out", "run", "--support-cases", "0"], "0 is not in the range"),
        (["train", ".", "--dataset", "folder", "--out", "run", "--pseudolabels", "lost"], "no folder lost; make it"),
        (
            ["segment", "a.nii.gz", "--support", "b.nii.gz", "--out", "o"],
            "^--support needs two files, IMAGE LABEL; after b.nii.gz comes --out; see psmnet segment --help$",
        ),
        (
            ["segment", "a.nii.gz", "--out", "o", "--support", "--labels", "1"],
            "^--support needs two files, IMAGE LABEL; after --support comes --labels; see",
        ),
        (
            ["segment", "a", "--support", "b", "c", "--out", "o", "--method", "alpnt"],
            "method 'alpnt'; did you mean alpnet",
        ),
        (["train", ".", "--dataset", "folder", "--out", "run", "--method", "alpnt"], "'alpnt'; did you mean alpnet.$"),
        (["pretrain", "--out", "run", "--set", "atention=off"], "unknown setting 'atention'; did you mean attention.$"),
        (["prepare", "foldr", ".", "out"], "unknown data set 'foldr'; did you mean folder.$"),
        (["pseudolabel", "nowhere", "--dataset", "folder"], "no folder nowhere"),
        (["pseudolabel", ".", "--dataset", "mnist"], "unknown data set 'mnist'"),
        (["pretrain", "--out", "run", "--preset", "huge"], "unknown preset 'huge'; give one of compact, paper"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_options(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    line = only_line(cli(*arguments))
    assert re.search(message, line)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# ---- evaluate --------------------------------------------------------------------------------------------------


def evaluation(phantoms: Path, tmp_path: Path, weights: Path, **options: object) -> list[str]:
    values = {
        "dataset": "phantom",
        "fold": 0,
        "weights": weights,
        "out": tmp_path / "r.json",
        "device": "cpu",
    } | options
    return [
        "evaluate",
        str(phantoms),
        *(text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "mnist"}, "unknown data set 'mnist'; give one of chaos-t2, sabs"),
        ({"fold": 5}, "no fold 5; give 0 to 4"),
        ({"fold": -1}, "no fold -1; give 0 to 4"),
        ({"shots": 9}, "9 support cases of fold 0 (ouyang); give 1 to 4"),
        ({"shots": 0}, "'--shots': 0 is not in the range"),
        ({"setting": 3}, "no Setting 3; give 1 or 2"),
        ({"setting": 2}, "Setting 2 needs a group; give --group upper or lower"),
        ({"dataset": "cmr", "setting": 2}, "has no Setting 2"),
        ({"support_case": "77"}, "no case '77'; give one of 1, 2, 3"),
        ({"support_case": "1"}, "support 1 is in fold 0"),
        ({"set": "split_rounds=many"}, "split_rounds=many; give a whole number"),
        ({"set": "split_rounds=-1"}, "split_rounds is -1; give 0 to 8"),
        ({"set": "depth=3"}, "unknown setting 'depth'; give NAME=VALUE with one of"),
        ({"set": "channels=64"}, "does not fit this version"),
    ],
    ids=str,
)
def test_evaluations_that_are_refused(cli, phantoms, tmp_path, tiny_weights, options, message):
    assert message in only_line(cli(*evaluation(phantoms, tmp_path, tiny_weights, **options)))
    assert list(tmp_path.iterdir()) == []


def test_leakage(cli, phantoms, tmp_path):
    cases = {case.id: case.checksum() for case in find_cases(phantoms)[1:3]}
    weights = save_tiny_weights(tmp_path / "w.safetensors", TrainingRecord("phantom", cases))
    line = only_line(cli(*evaluation(phantoms, tmp_path, weights)))  # fold 0: query 1, support 2
    assert line.startswith("the weights were trained on case 2; use weights of this fold, or add --allow-seen (")
    assert not (tmp_path / "r.json").exists()
    assert cli(*evaluation(phantoms, tmp_path, weights), "--allow-seen").code == 0
    assert '"seen_in_training": [\n      "2"' in (tmp_path / "r.json").read_text(encoding="utf-8")


def test_results_that_can_not_be_written(cli, phantoms, tmp_path, tiny_weights):
    (tmp_path / "file").write_text("", encoding="utf-8")
    line = only_line(cli(*evaluation(phantoms, tmp_path, tiny_weights, out=tmp_path / "file" / "r.json")))
    assert f"can't write {tmp_path / 'file' / 'r.json'}" in line


def test_results_in_the_place_of_a_folder_leave_nothing_half_written(
    cli, phantoms, tmp_path, tiny_weights, monkeypatch
):
    """Refused before long work or, where the folder comes up meanwhile, when the finished file takes its name."""

    def meanwhile(*_: object, **__: object) -> dict[str, object]:
        (tmp_path / "r.json").mkdir()
        return {}

    monkeypatch.setattr("psmnet.cli.evaluate.evaluate", meanwhile)
    for message in (f"can't write {tmp_path / 'r.json'}", f"{tmp_path / 'r.json'} is a folder; give a file's name"):
        assert message in only_line(cli(*evaluation(phantoms, tmp_path, tiny_weights)))
        assert [path.name for path in tmp_path.rglob("*")] == ["r.json"]


def test_results_are_not_replaced(cli, phantoms, tmp_path, tiny_weights):
    (tmp_path / "r.json").write_text("{}", encoding="utf-8")
    line = only_line(cli(*evaluation(phantoms, tmp_path, tiny_weights)))
    assert f"{tmp_path / 'r.json'} already exists; add --overwrite" in line
    assert (tmp_path / "r.json").read_text(encoding="utf-8") == "{}"
    assert cli(*evaluation(phantoms, tmp_path, tiny_weights), "--overwrite").code == 0
    assert '"summary"' in (tmp_path / "r.json").read_text(encoding="utf-8")
