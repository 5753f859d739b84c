"""Each of five hundred odd queries ends in one clear line and exit code 2, or in a right mask; nothing else is left."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.odd_inputs import draw
from psmnet.io import read_labels

pytestmark = pytest.mark.slow

HANGS_S = 120.0
MOST_BYTES = 2 << 30  # beyond what a sound scan takes
OUTPUTS = {"report.json", "summary.csv", "contact_sheet.html"}

# One process for all: starting takes longer than the work.
CHILD = """
import contextlib, io, json, resource, sys
from psmnet.cli.main import main
for line in sys.stdin:
    arguments = json.loads(line)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = repr(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"code": code, "err": err.getvalue(), "peak": peak}), file=sys.__stdout__, flush=True)
"""


@pytest.fixture
def query(phantoms: Path, tiny_weights: Path):
    """Runs `psmnet segment` on a query; a hang kills it."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(path: Path, out: Path) -> dict[str, object]:
            support = ["--support", str(phantoms / "image_1.nii.gz"), str(phantoms / "label_1.nii.gz")]
            arguments = ["segment", str(path), *support, "--weights", str(tiny_weights), "--out", str(out)]
            timer = threading.Timer(HANGS_S, process.kill)
            timer.start()
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            timer.cancel()
            assert answer, f"{path} hung, or killed the process"
            return json.loads(answer)

        yield run
        process.stdin.close()


def test_five_hundred(query, tmp_path):
    faults, came, masks = [], Counter(), None
    base = None
    for odd in draw(tmp_path / "inputs"):
        out = tmp_path / "out" / odd.path.parent.name
        result = query(odd.path, out)
        base = base or result["peak"]
        code, err = result["code"], str(result["err"])
        left = sorted(path.name for path in out.iterdir()) if out.exists() else []
        found = [name for name in left if name.endswith("_seg.nii.gz")]
        where = f"{odd.path.parent.name} {odd.kind}"
        if code not in (0, 2):
            faults.append(f"{where}: {code}")
        elif code == 2:
            if odd.expected == "same" or err.count("\n") != 1 or "Traceback" in err or "please report" in err:
                faults.append(f"{where}: {err}")
            if set(left) - OUTPUTS:
                faults.append(f"{where}: left {left}")
        else:
            if odd.expected == "refused" or len(found) != 1 or any(name.startswith(".") for name in left):
                faults.append(f"{where}: taken; left {left}")
            mask = read_labels(out / found[0]).array_zyx if found else np.zeros(0)
            masks = mask if masks is None else masks
            if odd.expected == "same" and not np.array_equal(mask, masks):
                faults.append(f"{where}: another mask")
        if result["peak"] - base > MOST_BYTES:
            faults.append(f"{where}: {(result['peak'] - base) >> 20} MiB more")
            base = result["peak"]
        came[odd.expected, code] += 1
    print(dict(came), f"peak {(result['peak'] - base) >> 20} MiB above the first")
    assert not faults, "\n".join(faults)
    assert sum(came.values()) >= 500
