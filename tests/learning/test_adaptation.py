from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tiny import TINY, save_tiny_weights
from psmnet.catalog import CT_WINDOW_HU
from psmnet.config import PRESETS, AugmentConfig, Preset, TrainConfig
from psmnet.data.phantom.patient import draw_patient
from psmnet.errors import ConfigError, InputError
from psmnet.io import write_volume
from psmnet.io.scan_files import find_queries
from psmnet.learning.adaptation import adapt, adaptation_spec, as_seen
from psmnet.models.weights import load_weights
from psmnet.volume.geometry import reorient
from psmnet.volume.volume import Volume

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = TrainConfig(pairs=1, targets=2, checkpoint_every=1, augment=AugmentConfig(elastic_alpha_px=0))
    monkeypatch.setitem(PRESETS, "compact", Preset(TINY, recipe))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two unlabelled scans: one as drawn, one stored with its slices along the first axis."""
    for number in (1, 2):
        image, _ = draw_patient(number, shape_zyx=(12, 72, 64), spacing_mm=(5, 5, 16))
        if number == 2:
            image = reorient(image, (2, 0, 1), (False, False, False))
        write_volume(image, tmp_path / "scans" / f"patient_{number}.nii.gz")
    return tmp_path


def run(folder: Path, name: str, steps: int = 3, **options):
    scans, _ = find_queries([str(folder / "scans")])
    weights = save_tiny_weights(folder / "tiny.safetensors")
    return adapt(adaptation_spec(str(weights), steps=steps), scans, folder / name, device=CPU, **options)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_weights(path).model.state_dict()


def test_weights_begin_with_those_given_and_learn(folder):
    path, failed = run(folder, "run")
    assert failed == {}
    adapted, before = load_weights(path), load_weights(folder / "tiny.safetensors")
    assert adapted.trained_on.init == before.sha256
    assert adapted.trained_on.pseudolabels == "supervoxels"
    changes = [
        (now - then).abs().max()
        for now, then in zip(tensors(path).values(), before.model.state_dict().values(), strict=True)
    ]
    assert all(0 < change < 0.1 for change in changes)


def test_no_copy_of_a_scan_is_left(folder):
    run(folder, "run")
    assert not list((folder / "run").rglob("*.nii*"))


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(folder):
    whole, _ = run(folder, "whole")

    def interrupt(step: int, losses: dict[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, "cut", report=interrupt)
    seen = []
    resumed, _ = run(folder, "cut", resume=True, report=lambda step, losses: seen.append(step))
    assert seen == [3]
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole).values(), tensors(resumed).values(), strict=True))


def test_a_finished_run_is_left_alone(folder):
    path, _ = run(folder, "run")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="already holds a run"):
        run(folder, "run")
    run(folder, "run", resume=True)
    assert path.read_bytes() == before


def test_a_run_is_not_resumed_with_other_scans(folder):
    def interrupt(step: int, losses: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, "run", report=interrupt)
    (folder / "scans" / "patient_1.nii.gz").unlink()
    with pytest.raises(ConfigError, match="other scans \\(patient_1\\)"):
        run(folder, "run", resume=True)


def test_a_scan_that_cannot_be_used_stops_it_and_leaves_nothing(folder):
    whole = (folder / "scans" / "patient_1.nii.gz").read_bytes()
    (folder / "scans" / "patient_1.nii.gz").write_bytes(whole[: len(whole) // 2])
    write_volume(Volume(np.zeros((4, 8, 8), np.int16)), folder / "scans" / "empty.nii.gz")
    path, failed = run(folder, "run")
    assert path is None
    assert sorted(failed) == ["empty", "patient_1"]
    assert "constant" in str(failed["empty"])
    assert not (folder / "run").exists() or not list((folder / "run").iterdir())


def test_another_network_is_refused(folder, monkeypatch):
    scans, _ = find_queries([str(folder / "scans")])
    weights = save_tiny_weights(folder / "tiny.safetensors")
    wider = Preset(type(TINY)(channels=32, input_size=64), PRESETS["compact"].train)
    monkeypatch.setitem(PRESETS, "compact", wider)
    with pytest.raises((ConfigError, InputError), match="another network"):
        adapt(adaptation_spec(str(weights), steps=1), scans, folder / "run", device=CPU)


def test_a_scan_as_the_network_sees_it():
    """64 x 48 mm of 2 x 1 mm pixels on 32 pixels: 2 mm each, 32 x 24 of them, the rest a border; slices along x."""
    array = np.zeros((48, 32, 5), dtype=np.float32)  # z, y, x as stored
    array[:, :, 2] = 7
    seen = as_seen(Volume(array, (9.0, 2.0, 1.0)), 32)
    assert seen.array_zyx.shape == (5, 32, 32)
    assert seen.spacing_mm == (2.0, 2.0, 9.0)
    assert (seen.array_zyx[[0, 1, 3, 4]] == 0).all()
    assert (seen.array_zyx[2] > 6.9).sum() == 32 * 24


def test_ct_is_windowed_by_the_whole_scan():
    low, high = CT_WINDOW_HU
    array = np.full((2, 16, 16), (low + high) / 2, dtype=np.int16)
    array[0, 0, 0] = -1024  # the second slice alone would not look like CT
    seen = as_seen(Volume(array), 16)
    assert seen.array_zyx[1] == pytest.approx(np.full((16, 16), 127.5), abs=0.5)
    assert seen.array_zyx.min() == 0
