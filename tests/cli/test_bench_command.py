import json

import pytest

from psmnet.config import PRESETS, ModelConfig, Preset, TrainConfig

TINY = Preset(ModelConfig(channels=16, input_size=64), TrainConfig(steps=2, pairs=1, targets=2))
RECIPE = "dataset: phantom\nmethods: [panet, registration]\nfolds: [1]\npreset: tiny\n"


@pytest.fixture(autouse=True)
def _tiny_preset(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_bench_writes_every_cell_and_says_what_comes_next(cli, phantoms, tmp_path, recipe):
    done = cli("bench", recipe, phantoms, "--out", tmp_path / "out", "--jobs", 1)
    assert done.code == 0, done.err
    assert f"found finished: 0 of 2 results in {tmp_path / 'out'}, 0 of 1 trainings in" in done.out
    assert "finished: s1 panet fold1_seed0" in done.out
    assert f"results: 2 files in {tmp_path / 'out'}" in done.out
    assert f"next: psmnet report {tmp_path / 'out'} --out report" in done.out
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/phantom/**/*.json"))
    assert files == ["phantom/s1/ep1/panet/fold1_seed0.json", "phantom/s1/ep1/registration/fold1.json"]
    found = json.loads((tmp_path / "out" / files[1]).read_text())
    assert (found["method"], found["seed"], found["provenance"]["trained_on"]) == ("registration", None, None)
    assert "already exist" not in done.out
    again = cli("bench", recipe, phantoms, "--out", tmp_path / "out", "--jobs", 1)
    assert "found finished: 2 of 2 results" in again.out
    assert "1 of 1 trainings" in again.out
    assert "all results already exist; to make new ones, choose another --out folder" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.yaml"], "can't read recipe"),
        (["recipe.yaml", "--device", "abacus"], "abacus"),
    ],
)
def test_bad_input_is_one_line_and_code_2(cli, phantoms, tmp_path, recipe, arguments, message):
    done = cli("bench", tmp_path / arguments[0], phantoms, *arguments[1:], "--out", tmp_path / "out", "--jobs", 1)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.glob("out/**/*.json"))


def test_a_setting_that_is_not_there_is_said_before_anything_is_trained(cli, phantoms, tmp_path, recipe):
    recipe.write_text(RECIPE.replace("registration", "{method: psmnet, set: [colour=1]}"))
    done = cli("bench", recipe, phantoms, "--out", tmp_path / "out", "--jobs", 1)
    assert done.code == 2
    assert "setting 'colour'" in done.err
    assert not (tmp_path / "out").exists()


def test_a_cell_that_fails_is_named_and_the_others_are_kept(cli, phantoms, tmp_path, recipe):
    recipe.write_text(RECIPE.replace("registration", "alpnet"))
    run = tmp_path / "out" / "runs" / "phantom" / "s1" / "panet" / "fold1_seed0"
    run.mkdir(parents=True)
    (run / "checkpoint.safetensors").write_bytes(b"nothing")
    done = cli("bench", recipe, phantoms, "--out", tmp_path / "out", "--jobs", 1)
    assert done.code == 2
    assert "failed: cell s1 panet fold1_seed0" in done.err
    assert "1 cell failed: s1 panet fold1_seed0" in done.err
    assert (tmp_path / "out/phantom/s1/ep1/alpnet/fold1_seed0.json").exists()
