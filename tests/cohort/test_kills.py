"""A cohort of 200 scans killed again and again: all done in the end, nothing twice, nothing else than undisturbed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from psmnet.data.phantom.patient import draw_patient
from psmnet.io import write_volume
from psmnet.system.files import TEMPORARY_PREFIX

SCANS, KILLS = 200, 10

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    for number in range(1, SCANS + 2):
        image, labels = draw_patient(number, shape_zyx=(12, 64, 64), spacing_mm=(5.0, 5.0, 12.0))
        write_volume(image, folder / f"image_{number}.nii.gz")
        if number == 1:
            write_volume(labels, folder / "label_1.nii.gz")
    return folder


def command(scans: Path, weights: Path, out: Path) -> list[str]:
    support = ["--support", str(scans / "image_1.nii.gz"), str(scans / "label_1.nii.gz")]
    options = ["--weights", str(weights), "--out", str(out), "--workers", "2", "--threads", "1", "--device", "cpu"]
    return [sys.executable, "-c", "from psmnet.cli.main import main; main()", "segment", str(scans), *support, *options]


def finished(out: Path) -> dict[str, int]:
    """When each scan that is done was done."""
    return {
        path.name: path.stat().st_mtime_ns
        for path in out.glob("*_seg.json")
        if json.loads(path.read_text(encoding="utf-8")).get("entry")
    }


def masks(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*_seg.nii.gz")}


def test_killed_at_ten_random_moments(scans, tiny_weights, tmp_path):
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    began = time.monotonic()
    subprocess.run(command(scans, tiny_weights, undisturbed), check=True, capture_output=True)
    whole_s = time.monotonic() - began
    chance = random.Random(7)
    known: dict[str, int] = {}
    for _ in range(KILLS):
        process = subprocess.Popen(command(scans, tiny_weights, out), stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.08, 0.25) * whole_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1.0)  # a child may be in the middle of a line
        done = finished(out)
        assert known.items() <= done.items(), "done twice"
        known = done
    assert 0 < len(known) < SCANS
    ended = subprocess.run(command(scans, tiny_weights, out), check=True, capture_output=True, text=True)
    assert f"kept: {len(known)} of {SCANS}" in ended.stdout
    done = finished(out)
    assert known.items() <= done.items()
    assert len(done) == SCANS
    assert masks(out) == masks(undisturbed)
    assert not list(out.glob(f"{TEMPORARY_PREFIX}*"))
    entries = {e["name"]: e["labels"] for e in json.loads((out / "report.json").read_text())["queries"]}
    other = {e["name"]: e["labels"] for e in json.loads((undisturbed / "report.json").read_text())["queries"]}
    assert entries == other
    print(f"{SCANS} scans, {KILLS} kills; done after each kill up to {len(known)}; undisturbed {whole_s:.0f} s")
