"""Every psmnet command in README and docs runs, in the order it stands there; only the network is made small."""

import re
import shlex
from pathlib import Path

import pytest

from psmnet import config
from psmnet.checkpoint import TrainingRecord, save_weights
from psmnet.cli.main import main
from psmnet.config import ModelConfig, Preset, TrainConfig
from psmnet.data.normalisation import Normalisation
from psmnet.data.phantom import draw_patient
from psmnet.io import write_volume
from psmnet.models.build import build

ROOT = Path(__file__).parent.parent
SMALL = Preset(ModelConfig(channels=16, input_size=64, attention="off"), TrainConfig(steps=2, pairs=1, targets=2))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("psmnet ")]


def small_patient(seed: int):
    return draw_patient(seed, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder as the docs assume it, a small preset, and small weights in place of the bundled ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(config.PRESETS, "compact", SMALL)
    weights = tmp_path / "small.safetensors"
    record = TrainingRecord("synthetic")
    save_weights(weights, build(SMALL.model), SMALL.model, Normalisation("clip-zscore"), record)
    monkeypatch.setattr("psmnet.checkpoint.BUNDLED", weights)
    monkeypatch.setattr("psmnet.data.phantom.draw_patient", small_patient)
    return tmp_path


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_commands_of_the_docs_run(page, workplace):
    for arguments in commands(page):
        main(arguments)


def test_commands_of_the_readme_run(workplace):
    chaos_ids = [1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39]
    for case in chaos_ids:
        image, labels = small_patient(case)
        write_volume(image, workplace / "DATA" / f"image_{case}.nii.gz")
        write_volume(labels, workplace / "DATA" / f"label_{case}.nii.gz")
    image, labels = small_patient(1)
    write_volume(image, workplace / "scan01.nii.gz")
    write_volume(labels, workplace / "scan01_labels.nii.gz")
    write_volume(small_patient(2)[0], workplace / "scans" / "scan02.nii.gz")
    found = commands(ROOT / "README.md")
    assert [arguments[0] for arguments in found] == ["segment", "pseudolabel", "train", "evaluate"]
    for arguments in found:
        main(arguments)
    assert (workplace / "masks" / "scan02_seg.nii.gz").exists()
    assert (workplace / "fold0.json").exists()


def test_python_of_the_readme_runs(workplace, capsys):
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert 0 <= float(capsys.readouterr().out) <= 1
    assert Path("scan02_seg.nii.gz").exists()


def test_readme_shows_both_make_commands_and_their_targets_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
