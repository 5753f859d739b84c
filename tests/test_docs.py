"""Every psmnet command in README and docs runs, in the order it stands there; only networks and scans are small."""

import dataclasses
import importlib
import os
import re
import runpy
import shlex
import threading
import time
from pathlib import Path

import pytest
import uvicorn
import yaml

import psmnet.cli.adapt
from helpers.learned import save_learned_from
from helpers.places import REPOSITORY
from helpers.raw_layouts import abdomens, chaos_t2, cmr, pelvic, plain, sabs, zipped
from psmnet import catalog, config, runtime
from psmnet.cli.main import COMMANDS, main
from psmnet.config import ModelConfig, Preset, TrainConfig
from psmnet.data.phantom.patient import draw_patient, write_patients
from psmnet.evaluation.metrics import METRICS
from psmnet.io import write_volume
from psmnet.learning.settings import LearnSettings
from psmnet.learning.student_training import StudentTraining
from psmnet.models.build import build_model
from psmnet.models.weights import TrainingRecord, save_weights
from psmnet.system.files import sha256_of
from psmnet.system.worker_process import Isolated
from psmnet.volume.normalisation import Normalisation

SMALL = Preset(
    ModelConfig(channels=16, input_size=64, settings={"attention": "off"}), TrainConfig(steps=2, pairs=1, targets=2)
)
BRIEF = StudentTraining(steps=2, labelled=1, others=1)
OWN_TEST = ("add-a-method.md", "add-a-metric.md")  # their steps are followed by tests of their own


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("psmnet ")]


SOURCE = REPOSITORY / "src" / "psmnet"
TEXTS = [
    *sorted(path for folder in (".", "docs", "results", "benchmarks") for path in (REPOSITORY / folder).glob("*.md")),
    SOURCE / "models" / "bundled" / "MODEL_CARD.md",
]
PAGES = [page for page in sorted((REPOSITORY / "docs").glob("*.md")) if commands(page) and page.name not in OWN_TEST]


def small_patient(seed: int):
    return draw_patient(seed, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder as the docs assume it; small scans, network and data sets; everything runs in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(config.PRESETS, "compact", SMALL)
    weights = tmp_path / "small.safetensors"
    record = TrainingRecord("synthetic")
    save_weights(weights, build_model(SMALL.model), SMALL.model, Normalisation("clip-zscore"), record)
    monkeypatch.setattr("psmnet.models.weights.BUNDLED", weights)
    monkeypatch.setattr("psmnet.models.weights.BUNDLED_SHA256", sha256_of(weights))
    monkeypatch.setattr("psmnet.data.phantom.patient.draw_patient", small_patient)
    for name, spacing_mm in (("chaos-t2", (5, 5, 7.7)), ("pelvic", (3, 3, 2.5))):
        coarse = dataclasses.replace(catalog.dataset(name), size_px=64, spacing_mm=spacing_mm)
        monkeypatch.setitem(catalog.DATASETS, name, coarse)
    steps = next(option for option in psmnet.cli.adapt.command.params if option.name == "steps")
    monkeypatch.setattr(steps, "default", 2)
    monkeypatch.setattr(LearnSettings, "training_of", lambda settings, number: BRIEF)
    monkeypatch.setattr("psmnet.learning.run.pseudo_supports", lambda first, count: [])
    for name, value in {
        "STARTS": 1,
        "AFFINE_STEPS": 1,
        "SPLINE_STEPS": 1,
        "CONTROL_MM": (100.0,),
        "FINE_MM": 8.0,
    }.items():
        monkeypatch.setattr(f"psmnet.segmentation.scan_alignment.{name}", value)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr(Isolated, "run", work_here)
    monkeypatch.setattr("resource.setrlimit", lambda what, limits: None)  # it would bind this process for good
    monkeypatch.setattr("uvicorn.Server.run", briefly(uvicorn.Server.run))
    umask = os.umask(0o022)
    yield tmp_path
    os.umask(umask)  # serve keeps what it writes to its user


def work_here(worker, item, timeout_s):
    """What a worker process does, in this one: starting processes takes longer than the work."""
    if not hasattr(worker, "work"):
        worker.work = worker._setup()
    return worker.work(item)


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_docs_run(page, workplace):
    if page.name == "prepare.md":
        lay_out_raw_downloads(workplace)
    if page.name == "learned.md":
        lay_out_learned(workplace)
    recipes = re.findall(r"```yaml\n(.*?)```\n\nSaved as `([\w.]+)`", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(recipes) == len(blocks(page, "yaml"))
    for recipe, name in recipes:
        (workplace / name).write_text(re.sub(r"^steps: \d+", "steps: 2", recipe, flags=re.MULTILINE))
    for arguments in commands(page):
        main(arguments)


def test_the_pages_for_users_have_commands():
    found = {page.name for page in PAGES}
    assert {"learn.md", "learned.md", "segment.md", "prepare.md", "train.md", "benchmark.md", "serve.md"} <= found


def test_the_page_of_protocols_has_every_name_of_the_program():
    page = (REPOSITORY / "docs" / "protocols.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`([^`]+)`", page))
    assert {*catalog.PROTOCOLS, *catalog.FOLDS, *catalog.SETTING2_RULES, *METRICS} <= names
    for facts in catalog.DATASETS.values():
        assert set(facts.groups) <= names
    cuts = {name: ", ".join(map(str, facts.fold_cuts)) for name, facts in catalog.DATASETS.items() if facts.fold_cuts}
    assert re.findall(r"^\| `([\w-]+)` \| (0, [\d, ]+) \|$", page, flags=re.MULTILINE) == list(cuts.items())


def test_the_citation_has_the_version_and_no_date_before_its_release():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == runtime.package_version()
    released = f"## {citation['version']} (unreleased)" not in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert ("date-released" in citation) is released


def test_the_picture_of_the_rooms_and_their_table_are_up_to_date(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["make_architecture.py", "--check"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(REPOSITORY / "docs" / "make_architecture.py"), run_name="__main__")
    assert end.value.code == 0, capsys.readouterr().out


def test_the_page_of_rooms_describes_each_of_them():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert len(rooms) == 14
    assert set(re.findall(r"^\| `(\w+)` \|", page.split("## Imports")[0], flags=re.MULTILINE)) == rooms


def test_options_that_pages_name_exist():
    modules = [importlib.import_module(f"psmnet.cli.{name}") for name in COMMANDS]
    known = {option for module in modules for parameter in module.command.params for option in parameter.opts}
    known |= {"--help", "--option"}  # the last one stands for any
    others = {  # options of pip, torchrun and dask
        *("--no-index", "--find-links", "--editable"),
        *("--nnodes", "--no-python", "--nproc-per-node"),
        *("--no-dashboard", "--nthreads", "--nworkers"),
    }
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", page.read_text(encoding="utf-8")))
        assert named - others <= known, f"{page.name}: {sorted(named - others - known)}"


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/decisions.md", "CONTRIBUTING.md"])
def test_files_that_a_page_names_exist(name):
    page = (REPOSITORY / name).read_text(encoding="utf-8")
    found = set(re.findall(r"`([\w.-]+/[\w./-]*)`", page))
    assert found
    assert [path for path in sorted(found) if not any((root / path).exists() for root in (SOURCE, REPOSITORY))] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            lines = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}, link


def lay_out_learned(folder):
    """A learned network, and two scans that are new to it."""
    images = [small_patient(seed)[0] for seed in range(3)]
    (folder / "learned").mkdir()
    save_learned_from(images, folder / "learned" / "weights.safetensors")
    for seed in (3, 4):
        write_volume(small_patient(seed)[0], folder / "new_scans" / f"image_{seed}.nii.gz")


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


def test_commands_of_the_readme_run(workplace):
    thin_chaos(workplace / "raw")
    zipped(workplace / "raw", workplace / "CHAOS_Train_Sets.zip")
    image, labels = small_patient(1)
    write_volume(image, workplace / "scan01.nii.gz")
    write_volume(labels, workplace / "scan01_labels.nii.gz")
    for number in (2, 3, 4, 5):
        write_volume(small_patient(number)[0], workplace / "scans" / f"scan{number:02}.nii.gz")
    write_volume(small_patient(6)[0], workplace / "new_scans" / "scan06.nii.gz")
    found = commands(REPOSITORY / "README.md")
    names = [arguments[0] for arguments in found]
    assert names == ["learn", "segment", "segment", "serve", "prepare", "pseudolabel", "train", "evaluate"]
    for arguments in found:
        main(arguments)
    for mask in ("learned/masks/scan02", "new_masks/scan06", "masks/scan02"):
        assert (workplace / f"{mask}_seg.nii.gz").exists()
    assert (workplace / "fold0.json").exists()


def test_python_of_the_readme_runs(workplace, capsys):
    (code,) = blocks(REPOSITORY / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert 0 <= float(capsys.readouterr().out) <= 1
    assert Path("scan02_seg.nii.gz").exists()


def test_python_of_the_page_on_learning_runs(workplace, capsys):
    write_patients(workplace / "scans", 5, 1)
    write_patients(workplace / "new_scans", 1, 7)
    (code,) = blocks(REPOSITORY / "docs" / "learn.md", "python")
    exec(compile(code, "learn.md", "exec"), {"__name__": "__main__"})
    assert Path("learned_in_python/masks/image_3_seg.nii.gz").exists()
    assert Path("new_seg.nii.gz").exists()
    assert re.search(r"^image_5 .*image_5_seg.nii.gz$", capsys.readouterr().out, flags=re.MULTILINE)


def test_readme_shows_both_make_commands_and_their_targets_exist():
    readme, makefile = (REPOSITORY / "README.md").read_text(), (REPOSITORY / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
