"""Every psmnet command in README and docs runs, in the order it stands there; only networks and trainings are small."""

import os
import re
import shlex
import threading
import time
from pathlib import Path

import pytest
import uvicorn

from helpers.places import REPOSITORY
from helpers.raw_layouts import abdomens, chaos_t2, cmr, pelvic, plain, sabs, zipped
from psmnet import config
from psmnet.cli.main import main
from psmnet.config import ModelConfig, Preset, TrainConfig
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume
from psmnet.models.build import build_model
from psmnet.models.weights import TrainingRecord, save_weights
from psmnet.volume.normalisation import Normalisation

SMALL = Preset(
    ModelConfig(channels=16, input_size=64, settings={"attention": "off"}), TrainConfig(steps=2, pairs=1, targets=2)
)


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
    save_weights(weights, build_model(SMALL.model), SMALL.model, Normalisation("clip-zscore"), record)
    monkeypatch.setattr("psmnet.models.weights.BUNDLED", weights)
    monkeypatch.setattr("psmnet.data.phantom.patient.draw_patient", small_patient)
    monkeypatch.setattr("psmnet.segmentation.registration.SPLINE_STEPS", 1)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("uvicorn.Server.run", briefly(uvicorn.Server.run))
    return tmp_path


def briefly(run):
    """A server that ends by itself once it has started."""

    def started(server, sockets):
        def end():
            while not server.started:
                time.sleep(0.01)
            server.should_exit = True

        threading.Thread(target=end, daemon=True).start()
        run(server, sockets=sockets)

    return started


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs").glob("*.md")), ids=lambda page: page.name)
def test_commands_of_the_docs_run(page, workplace, monkeypatch):
    if page.name == "prepare.md":
        monkeypatch.setattr("os.cpu_count", lambda: 1)  # starting processes takes longer than the work
        lay_out_raw_downloads(workplace)
    for recipe in blocks(page, "yaml"):
        (workplace / "recipe.yaml").write_text(re.sub(r"^steps: \d+", "steps: 2", recipe, flags=re.MULTILINE))
    if page.name == "benchmark.md":
        monkeypatch.setattr("os.cpu_count", lambda: 1)
    umask = os.umask(0o022)  # serve keeps what it writes to its user
    try:
        for arguments in commands(page):
            main(arguments)
    finally:
        os.umask(umask)


def lay_out_raw_downloads(folder):
    thin_chaos(folder / "raw" / "chaos")
    sabs(folder / "raw" / "sabs", (1, 2))
    cmr(folder / "raw" / "cmr", (1, 2))
    pelvic(folder / "raw" / "pelvic", [f"{number:06d}" for number in range(1, 9)], size_xyz=(48, 48, 3))
    plain(folder / "my_scans", abdomens(["patient_1"], size_xyz=(64, 64, 6)), "{}.nii.gz", "{}_label.nii.gz")
    plain(folder / "my_scans", abdomens(["patient_2", "patient_3"], size_xyz=(64, 60, 7)), "{}.nii.gz", None)


def thin_chaos(folder):
    """All twenty cases, since folds need them, of three slices each."""
    chaos_t2(folder, size_xyz=(32, 30, 3), spacing_mm=(10, 10, 7.7))


def test_commands_of_the_readme_run(workplace, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    thin_chaos(workplace / "raw")
    zipped(workplace / "raw", workplace / "CHAOS_Train_Sets.zip")
    image, labels = small_patient(1)
    write_volume(image, workplace / "scan01.nii.gz")
    write_volume(labels, workplace / "scan01_labels.nii.gz")
    write_volume(small_patient(2)[0], workplace / "scans" / "scan02.nii.gz")
    found = commands(REPOSITORY / "README.md")
    assert [arguments[0] for arguments in found] == ["segment", "serve", "prepare", "pseudolabel", "train", "evaluate"]
    for arguments in found:
        main(arguments)
    assert (workplace / "masks" / "scan02_seg.nii.gz").exists()
    assert (workplace / "fold0.json").exists()


def test_python_of_the_readme_runs(workplace, capsys):
    (code,) = blocks(REPOSITORY / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert 0 <= float(capsys.readouterr().out) <= 1
    assert Path("scan02_seg.nii.gz").exists()


def test_readme_shows_both_make_commands_and_their_targets_exist():
    readme, makefile = (REPOSITORY / "README.md").read_text(), (REPOSITORY / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
