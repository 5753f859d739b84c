"""Time and peak memory of preparing and pseudo-labelling a CHAOS-sized set and 30 CT scans of 512 x 512 x 150.

The raw downloads are drawn (tests/raw_layouts.py), three patients of each, repeated under the other ids. Memory is
the proportional set size of the command and all its processes, sampled twenty times a second.

python benchmarks/prepare.py --dataset sabs --work /tmp/prepare --out runs/prepare_sabs.json
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.raw_layouts import CHAOS_IDS, SABS_NUMBERS, chaos_t2, sabs
from psmnet.runtime import machine, versions
from psmnet.system import write_json

DRAWN = 3
PSMNET = Path(sys.executable).parent / "psmnet"


def draw_chaos(folder: Path) -> None:
    chaos_t2(folder, CHAOS_IDS[:DRAWN], size_xyz=(256, 256, 36), spacing_mm=(1.5, 1.5, 8.0))
    mr = folder / "Train_Sets" / "MR"
    for number, case_id in enumerate(CHAOS_IDS[DRAWN:]):
        shutil.copytree(mr / CHAOS_IDS[number % DRAWN], mr / case_id)


def draw_sabs(folder: Path) -> None:
    sabs(folder, SABS_NUMBERS[:DRAWN], size_xyz=(512, 512, 150), spacing_mm=(0.75, 0.75, 3.0))
    training = folder / "RawData" / "Training"
    for number, scan in enumerate(SABS_NUMBERS[DRAWN:]):
        for kind in ("img", "label"):
            drawn = training / kind / f"{kind}{SABS_NUMBERS[number % DRAWN]:04d}.nii.gz"
            shutil.copy(drawn, training / kind / f"{kind}{scan:04d}.nii.gz")


def first_sabs(folder: Path, cases: int) -> Path:
    """A raw folder of some of the scans, for memory against the number of cases."""
    few = folder.with_name(f"{folder.name}-{cases}") / "RawData" / "Training"
    for kind in ("img", "label"):
        (few / kind).mkdir(parents=True, exist_ok=True)
        for scan in SABS_NUMBERS[:cases]:
            name = f"{kind}{scan:04d}.nii.gz"
            if not (few / kind / name).exists():
                os.link(folder / "RawData" / "Training" / kind / name, few / kind / name)
    return few


def tree_of(pid: int) -> set[int]:
    """A process and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def memory_mib(pid: int) -> float:
    total = 0
    for process in tree_of(pid):
        try:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue
    return total / 1024


def measured(*arguments: object) -> dict[str, Any]:
    """Run a command of psmnet; seconds and peak memory."""
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([PSMNET, *map(str, arguments)], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, memory_mib(process.pid))
        time.sleep(0.05)
    if process.returncode != 0:
        raise SystemExit(f"psmnet {' '.join(map(str, arguments))} ended with {process.returncode}")
    return {"seconds": round(time.perf_counter() - began, 1), "peak_mib": round(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder, 10 GB")
    parser.add_argument("--dataset", choices=["chaos-t2", "sabs"], required=True)
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    name = options.dataset
    raw = options.work / {"chaos-t2": "raw-chaos", "sabs": "raw-sabs"}[name]
    if not raw.exists():
        drawing = raw.with_name(f"{raw.name}-drawing")
        shutil.rmtree(drawing, ignore_errors=True)
        {"chaos-t2": draw_chaos, "sabs": draw_sabs}[name](drawing)
        drawing.rename(raw)
    plans = [(20, raw)] if name == "chaos-t2" else [(30, raw), *((few, first_sabs(raw, few)) for few in (6, 12))]
    rows = []
    for jobs in map(int, options.jobs.split(",")):
        for cases, folder in plans:
            out = options.work / f"{name}-{cases}-{jobs}"
            shutil.rmtree(out, ignore_errors=True)
            row: dict[str, Any] = {"dataset": name, "cases": cases, "jobs": jobs}
            row["prepare"] = measured("prepare", name, folder, out, "--jobs", jobs)
            kinds = {20: ("superpixels", "supervoxels"), 30: ("superpixels",)}.get(cases, ())
            for kind in kinds:
                row[kind] = measured("pseudolabel", out, "--dataset", name, "--kind", kind, "--jobs", jobs)
            rows.append(row)
            print(row, flush=True)
            shutil.rmtree(out)
    write_json(options.out, {"rows": rows, "machine": machine(), "versions": versions()})


if __name__ == "__main__":
    main()
