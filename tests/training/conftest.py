"""One preset, one data set and finished runs for all tests of trainings."""

from pathlib import Path

import pytest

from helpers.training_runs import CASES, CPU, RULE, SPEC, SYNTHETIC, TINY
from psmnet.config import PRESETS
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.store import PseudolabelStore
from psmnet.data.store import find_cases
from psmnet.io import write_volume
from psmnet.training.run import run_training


@pytest.fixture(autouse=True)
def _tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    for number in range(1, CASES + 1):
        image, labels = draw_patient(number, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
        write_volume(image, folder / f"image_{number}.nii.gz")
        write_volume(labels, folder / f"label_{number}.nii.gz")
    PseudolabelStore(folder, RULE).write(find_cases(folder), jobs=1)
    return folder


@pytest.fixture(scope="session")
def finished_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of SPEC (read only: tests copy what they change)."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY)
        run_training(SPEC, run, data=data, device=CPU)
    return run


@pytest.fixture(scope="session")
def finished_synthetic_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of SYNTHETIC (read only)."""
    run = tmp_path_factory.mktemp("synthetic") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY)
        run_training(SYNTHETIC, run, device=CPU)
    return run
