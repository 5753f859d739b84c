"""A learning killed again and again, at random moments, by a signal that nothing can catch."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.commands import contents
from helpers.learnings import LABELS

KILLS = 20

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")]


def command(data: Path, weights: Path, out: Path) -> list[str]:
    """Without registration, whose minutes on few cores would take most of the kills."""
    code = (
        "import psmnet.learning.settings as s, psmnet.cli.learn as c; "
        "c.LearnSettings = lambda **given: s.LearnSettings(registration=False, **given); "
        "from psmnet.cli.main import main; main()"
    )
    scans = [str(data / f"image_{number}.nii.gz") for number in range(2, 7)]
    support = ["--support", str(data / "image_1.nii.gz"), str(data / "label_1.nii.gz")]
    options = ["--labels", ",".join(map(str, LABELS)), "--steps", "20", "--device", "cpu", "--threads", "1"]
    return [
        sys.executable,
        "-c",
        code,
        "learn",
        *scans,
        *support,
        *options,
        "--weights",
        str(weights),
        "--out",
        str(out),
    ]


def result(run: Path) -> dict[str, bytes]:
    """Masks, network and losses."""
    wanted = ("_seg.nii.gz", ".safetensors", "metrics.jsonl")
    return {name: content for name, content in contents(run).items() if name.endswith(wanted)}


def test_killed_at_twenty_random_moments(phantoms, tiny_weights, tmp_path):
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    began = time.monotonic()
    subprocess.run(command(phantoms, tiny_weights, undisturbed), check=True, capture_output=True)
    whole_s = time.monotonic() - began
    chance = random.Random(11)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        assert runs < 3 * KILLS
        process = subprocess.Popen(command(phantoms, tiny_weights, out), stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 0.9) * whole_s)
        if process.poll() is not None:  # it has got through: once more, from nothing
            assert process.returncode == 0
            assert result(out) == result(undisturbed)
            out = tmp_path / f"out-{runs}"
            continue
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1.0)  # a child may be in the middle of a scan
        kills += 1
    subprocess.run(command(phantoms, tiny_weights, out), check=True, capture_output=True)
    assert result(out) == result(undisturbed)
    assert not (out / "work").exists()
    print(f"{KILLS} kills in {runs} runs of {whole_s:.0f} s")
