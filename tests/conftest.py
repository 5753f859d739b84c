"""Fixtures that several rooms' tests use; plain helpers are in `tests/helpers`."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores already: before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from helpers.learnings import cohort_of, quick_job
from helpers.raw_layouts import SABS_NUMBERS, Drawn, chaos_t2, cmr, pelvic, sabs
from helpers.tiny import save_tiny_weights
from psmnet.cli.main import main
from psmnet.cohort.learn_run import learn_cohort
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume
from psmnet.system.workers import in_this_process


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a tiny, untrained network."""
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small phantom patients in the normalised layout (read only: tests copy what they change)."""
    folder = tmp_path_factory.mktemp("phantoms")
    for number in range(1, 7):
        image, labels = draw_patient(number, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
        write_volume(image, folder / f"image_{number}.nii.gz")
        write_volume(labels, folder / f"label_{number}.nii.gz")
    return folder


@pytest.fixture
def data(phantoms: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms that a test may change."""
    return Path(shutil.copytree(phantoms, tmp_path / "data"))


def work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans and cases are worked on in this process, because starting others takes longer than the work.

    tests/system/test_workers.py and tests/system/test_parallel.py hold that other processes do the same.
    """
    monkeypatch.setattr(
        "psmnet.system.workers.in_processes",
        lambda factory, items, count, timeout_s: in_this_process(factory(), items),
    )
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process."""
    work_here(monkeypatch)


@pytest.fixture
def quick_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration of seconds, and of little use."""
    few = {"STARTS": 1, "AFFINE_STEPS": 1, "SPLINE_STEPS": 1, "CONTROL_MM": (100.0,), "FINE_MM": 8.0}
    for name, value in few.items():
        monkeypatch.setattr(f"psmnet.segmentation.scan_alignment.{name}", value)


@pytest.fixture(scope="session")
def learned_once(phantoms: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the phantoms in `data`, and in `run` what was learned from 1 and the unlabelled 2 to 5."""
    folder = tmp_path_factory.mktemp("learned_once")
    shutil.copytree(phantoms, folder / "data")
    with pytest.MonkeyPatch.context() as monkeypatch:
        work_here(monkeypatch)
        learn_cohort(quick_job(folder / "data", tiny_weights, folder / "run"), cohort_of(folder / "data"))
    return folder


@pytest.fixture
def learned(learned_once: Path, tmp_path: Path) -> Path:
    """A copy of `learned_once` that a test may change."""
    return Path(shutil.copytree(learned_once, tmp_path / "learned"))


@dataclass(frozen=True)
class Raw:
    """A raw download, and what was drawn of each case, by its id in the normalised layout."""

    folder: Path
    drawn: dict[str, Drawn]


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Raw]:
    """Whole raw downloads by the data set's name, drawn when first asked for (read only)."""
    found: dict[str, Raw] = {}

    def of(name: str) -> Raw:
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            drawn = {"chaos-t2": chaos_t2, "sabs": sabs, "cmr": cmr, "pelvic": pelvic}[name](folder)
            ids = {number: index for index, number in enumerate(SABS_NUMBERS)} if name == "sabs" else {}
            found[name] = Raw(folder, {str(ids.get(key, key)): case for key, case in drawn.items()})
        return found[name]

    return of


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command of psmnet in this process."""

    def run(*arguments: object) -> Outcome:
        code = 0
        capsys.readouterr()
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run
