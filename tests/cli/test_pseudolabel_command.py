"""psmnet pseudolabel, and the options of train and evaluate that go with it: kinds, faults, folds, institutions."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from helpers.tiny import TINY
from psmnet.config import PRESETS, TrainConfig
from psmnet.data.dataset_file import DatasetFile
from psmnet.data.pseudolabels.rule import KINDS
from psmnet.models.weights import load_weights
from psmnet.system.files import read_json
from psmnet.training import log as training_log

PREFIX = {"superpixels": "superpix-MIDDLE_", "supervoxels": "supervox_"}


@pytest.fixture
def data(phantoms, tmp_path):
    """Three scans, the first two with labels."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("image_1", "image_2", "image_3", "label_1", "label_2"):
        shutil.copy(phantoms / f"{name}.nii.gz", folder)
    return folder


@pytest.fixture
def six(phantoms, tmp_path):
    return Path(shutil.copytree(phantoms, tmp_path / "six"))


@pytest.fixture
def tiny_preset(monkeypatch):
    """`compact` with the tests' network and one step; pseudo-labels of a run are made in this process."""
    recipe = TrainConfig(steps=1, pairs=1, targets=2, warmup=0)
    monkeypatch.setitem(PRESETS, "compact", dataclasses.replace(PRESETS["compact"], model=TINY, train=recipe))
    monkeypatch.setattr(training_log, "_tensorboard", lambda run: None)  # seconds of import, and tested elsewhere
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pseudolabel(data: Path, *more: object) -> tuple[object, ...]:
    return ("pseudolabel", data, "--dataset", "phantom", "--jobs", "1", *more)


def only_line(outcome) -> str:
    assert outcome.code == 2, outcome
    (line,) = outcome.err.splitlines()
    return line


# ---- pseudolabel -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_with_its_pictures(cli, data, tmp_path, kind):
    out, before = tmp_path / "ids", names(data)
    arguments = pseudolabel(data, "--kind", kind, "--out", out, "--preview")
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [f"pictures: {out / 'preview'}", f"{kind} of 3 cases (3 made now): {out}"]
    made = [f"{PREFIX[kind]}{number}.nii.gz" for number in (1, 2, 3)]
    assert names(out) == sorted(["pseudolabels.json", *made, *(f"preview/{number}.png" for number in (1, 2, 3))])
    assert all((out / "preview" / f"{number}.png").read_bytes().startswith(b"\x89PNG") for number in (1, 2, 3))
    assert [each for each, cases in read_json(out / "pseudolabels.json").items() if cases] == [kind]
    assert names(data) == before

    times = {name: (out / name).stat().st_mtime_ns for name in made}
    outcome = cli(*arguments)
    assert outcome.out.splitlines()[-1] == f"{kind} of 3 cases (0 made now): {out}"
    assert {name: (out / name).stat().st_mtime_ns for name in made} == times


def test_they_lie_beside_the_scans_by_default_and_both_kinds_together(cli, data):
    before = names(data)
    for kind in KINDS:
        outcome = cli(*pseudolabel(data, "--kind", kind))
        assert outcome.out == f"{kind} of 3 cases (3 made now): {data}\n"
    made = [f"{prefix}{number}.nii.gz" for prefix in PREFIX.values() for number in (1, 2, 3)]
    assert names(data) == sorted([*before, "pseudolabels.json", *made])
    assert "superpixels of 3 cases (0 made now)" in cli(*pseudolabel(data)).out


@pytest.mark.parametrize("text", ["superpixel-ids", "all", " superpixel-ids,superpixel-ids"])
def test_the_published_bug_is_reproduced_on_request(cli, data, text):
    cli(*pseudolabel(data))
    outcome = cli(*pseudolabel(data, "--legacy", text))
    assert (outcome.code, outcome.err) == (0, "")
    assert "(3 made now)" in outcome.out  # those without the fault are replaced
    entries = read_json(data / "pseudolabels.json")["superpixels"]
    assert {case_id: entry["parameters"]["faulty_ids"] for case_id, entry in entries.items()} == dict.fromkeys(
        "123", True
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--legacy", "typo"), "'typo' is not a known bug of pseudo-labels; give --legacy superpixel-ids"),
        (("--legacy", "class-slices"), "'class-slices' is not a known bug of pseudo-labels"),
        (("--legacy", "typo,superpixel-ids,other"), "'other' is not a known bug of pseudo-labels"),
        (("--legacy", ""), "'' is not a known bug"),
        (("--legacy", "all", "--kind", "supervoxels"), "the known bug superpixel-ids with supervoxels; leave it out"),
        (("--kind", "voxels"), "'voxels' is not one of 'superpixels', 'supervoxels'"),
        (("--jobs", "0"), "0 is not in the range"),
        (("--out", "image_1.nii.gz"), "image_1.nii.gz is a file; give a folder"),
    ],
)
def test_refusals(cli, data, monkeypatch, options, message):
    monkeypatch.chdir(data)
    before = names(data)
    assert message in only_line(cli(*pseudolabel(data, *options)))
    assert names(data) == before


def test_a_damaged_case_is_named_and_the_others_are_made(cli, data, tmp_path):
    path, out = data / "image_2.nii.gz", tmp_path / "ids"
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    outcome = cli(*pseudolabel(data, "--out", out, "--preview"))
    assert outcome.code == 2
    told, end = outcome.err.splitlines()
    assert told.startswith("failed: case 2: ")
    assert "image_2.nii.gz is truncated" in told
    assert "; " in told, "a remedy"
    assert end == "psmnet: 1 case failed: 2; fix these and run the command again (the others are kept)"
    assert f"superpixels of 2 cases (2 made now): {out}" in outcome.out
    assert names(out) == [
        "preview/1.png",
        "preview/3.png",
        "pseudolabels.json",
        "superpix-MIDDLE_1.nii.gz",
        "superpix-MIDDLE_3.nii.gz",
    ]
    path.write_bytes(whole)
    outcome = cli(*pseudolabel(data, "--out", out))
    assert (outcome.code, outcome.err) == (0, "")
    assert "superpixels of 3 cases (1 made now)" in outcome.out


def test_when_every_case_fails_there_are_no_pictures(cli, data, tmp_path):
    for path in data.glob("image_*"):
        path.write_bytes(b"nothing")
    outcome = cli(*pseudolabel(data, "--out", tmp_path / "ids", "--preview"))
    assert outcome.code == 2
    assert [line.split(":")[:2] for line in outcome.err.splitlines()[:-1]] == [["failed", f" case {n}"] for n in "123"]
    assert outcome.out.splitlines() == [f"superpixels of 0 cases (0 made now): {tmp_path / 'ids'}"]
    assert not list(tmp_path.rglob("*.png"))


# ---- train and evaluate ----------------------------------------------------------------------------------------


def train(data: Path, out: Path, *more: object, dataset: str = "phantom") -> tuple[object, ...]:
    return ("train", data, "--dataset", dataset, "--out", out, "--device", "cpu", *more)


def evaluate(data: Path, run: Path, out: Path, *more: object, dataset: str = "phantom") -> tuple[object, ...]:
    return ("evaluate", data, "--dataset", dataset, "--weights", run, "--out", out, "--device", "cpu", *more)


@pytest.mark.usefixtures("tiny_preset")
def test_another_scheme_of_folds_on_supervoxels(cli, six, tmp_path):
    run, results = tmp_path / "run", tmp_path / "r.json"
    ids = tmp_path / "ids"
    assert cli(*pseudolabel(six, "--kind", "supervoxels", "--out", ids)).code == 0
    options = ("--fold", 4, "--folds", "adnet")
    outcome = cli(*train(six, run, *options, "--kind", "supervoxels", "--pseudolabels", ids))
    assert (outcome.code, outcome.err) == (0, "")
    # Fold 4 of six tests 5 and 6; with 1, the case after them, the last is 6.
    assert "reading 3 training cases: 2, 3, 4; kept out: 1, 5 (test), 6 (support)" in outcome.out
    assert not (run / "pseudolabels").exists()
    record = load_weights(run).trained_on
    assert (record.folds, record.pseudolabels, record.legacy) == ("adnet", "supervoxels", [])
    outcome = cli(*evaluate(six, run, results, *options))
    assert (outcome.code, outcome.err) == (0, "")
    found = read_json(results)
    assert (found["folds"], found["institution"]) == ("adnet", None)
    assert (found["provenance"]["queries"], found["provenance"]["supports"]) == (["1", "5"], ["6"])
    # The same data in Q-Net's window of the same fold: support and queries change places, nothing seen comes in.
    outcome = cli(*evaluate(six, run, tmp_path / "q.json", "--fold", 4, "--folds", "qnet"))
    assert (outcome.code, outcome.err) == (0, "")
    assert read_json(tmp_path / "q.json")["provenance"]["supports"] == ["6"]  # number 2 of 1, 5, 6
    line = only_line(cli(*evaluate(six, run, tmp_path / "other.json", "--fold", 1, "--folds", "adnet")))
    assert "the weights were trained on case 2, 3" in line


@pytest.mark.usefixtures("tiny_preset")
def test_setting_2_by_another_rule_and_with_the_fields_faults(cli, six, tmp_path):
    run, results = tmp_path / "run", tmp_path / "r.json"
    options = ("--fold", 0, "--setting", 2, "--group", "upper")
    outcome = cli(*train(six, run, *options, "--setting2", "all", "--legacy", "all"))
    assert (outcome.code, outcome.err) == (0, "")
    assert f"making superpixels of 4 cases in {run / 'pseudolabels'}" in outcome.out
    assert "slices that show all of the test classes of group upper" in outcome.out
    record = load_weights(run).trained_on
    assert (record.setting2, record.legacy) == ("all", ["class-slices", "superpixel-ids"])
    assert (record.pseudolabels, record.folds) == ("superpixels", "ouyang")
    assert cli(*evaluate(six, run, results, *options)).code == 0
    found = read_json(results)
    assert (found["setting2"], found["legacy"]) == ("all", ["class-slices", "superpixel-ids"])


@pytest.mark.usefixtures("tiny_preset")
def test_an_institution_is_held_out(cli, six, tmp_path):
    institutions = {"1": "UCL", "2": "UCL", "3": "Bergen", "4": "UCL", "5": "Bergen", "6": "Rutgers"}
    cases = {case_id: {"institution": name} for case_id, name in institutions.items()}
    DatasetFile(dataset="pelvic", version="0", modality="mr", legacy=("extra-slice",), cases=cases).write_into(six)
    run, results = tmp_path / "run", tmp_path / "r.json"
    options = ("--folds", "li", "--institution", "UCL", "--fold", 0)
    outcome = cli(*train(six, run, *options, dataset="pelvic"))
    assert (outcome.code, outcome.err) == (0, "")
    assert "reading 3 training cases: 3, 5, 6; kept out: 2, 4 (test), 1 (support)" in outcome.out
    outcome = cli(*evaluate(six, run, results, *options, dataset="pelvic"))
    assert (outcome.code, outcome.err) == (0, "")
    found = read_json(results)
    assert (found["folds"], found["institution"], found["legacy"]) == ("li", "UCL", ["extra-slice"])
    assert list(found["summary"]["by_label"]) == ["bladder", "central_gland"]  # 1 and 5
    line = only_line(cli(*evaluate(six, run, tmp_path / "b.json", "--folds", "li", "--fold", 0, dataset="pelvic")))
    assert "folds li need an institution; give --institution, one of Bergen, Rutgers, UCL" in line
    other = ("--folds", "li", "--institution", "Bergen", "--fold", 0)
    assert "trained on case 5, 3" in only_line(cli(*evaluate(six, run, tmp_path / "b.json", *other, dataset="pelvic")))


@pytest.mark.usefixtures("tiny_preset")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--legacy", "typo"),
            "'typo' is not a known bug that training can reproduce; give --legacy all, or any of superpixel-",
        ),
        (("--legacy", "superpixel-ids", "--kind", "supervoxels"), "the known bug superpixel-ids with supervoxels"),
        (("--kind", "voxels"), "'voxels' is not one of"),
        (("--setting2", "some"), "no rule 'some' for Setting 2; give any or all"),
        (("--folds", "mine"), "no folds 'mine'; give one of ouyang, adnet, qnet, li"),
        (("--folds", "li", "--institution", "UCL"), "nothing says which institution"),
        (("--institution", "UCL"), "institution 'UCL' with folds ouyang; give --folds li"),
    ],
)
def test_refusals_of_train(cli, six, tmp_path, options, message):
    assert message in only_line(cli(*train(six, tmp_path / "run", *options)))
    assert not (tmp_path / "run").exists()
