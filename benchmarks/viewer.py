"""The viewer against the command line: from dropping a scan to seeing its mask; start-up; weight of the page.

A drawn scan of CHAOS's size, one labelled scan, 4 organs. The server is warm: it has segmented one scan from that
labelled one. The command line does all in one go, its imports included, and draws no page. In turns, medians.

python benchmarks/viewer.py --threads 1 --out runs/viewer.json
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

from psmnet import draw_patient, write_volume
from psmnet.runtime import machine, versions
from psmnet.system import write_json

SHAPE_ZYX, SPACING_MM = (36, 256, 256), (1.25, 1.25, 7.7)
ORGANS = "1,2,3,4"
REPEATS = 3
PATIENCE_MS = 300_000
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]


def drawn(folder: Path, number: int) -> tuple[Path, Path]:
    """A patient's image and label map, as files."""
    image, labels = draw_patient(number, shape_zyx=SHAPE_ZYX, spacing_mm=SPACING_MM)
    paths = folder / f"case{number}.nii.gz", folder / f"case{number}_label.nii.gz"
    write_volume(image.with_array(image.array_zyx.astype("int16")), paths[0])
    write_volume(labels, paths[1])
    return paths


@contextmanager
def serving(data: Path, threads: int) -> Iterator[tuple[str, float]]:
    """A server's address, and the seconds until it printed it."""
    command = [sys.executable, "-c", "from psmnet.cli.main import main; main()", "serve", "--port", "0"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--data", str(data), "--threads", str(threads)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.removeprefix("open ").strip(), time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def command_line(support: tuple[Path, Path], query: Path, out: Path, threads: int) -> float:
    """Seconds of `psmnet segment`."""
    began = time.perf_counter()
    what = [str(query), "--support", *map(str, support), "--labels", ORGANS, "--threads", str(threads)]
    command = [sys.executable, "-c", "from psmnet.cli.main import main; main()", "segment", *what, "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def drop_to_overlay(page: Page, query: Path) -> dict[str, float]:
    """Seconds until a scan that is dropped on the page is listed, and until its mask is seen."""
    before = page.get_attribute("#query", "data-shown")
    known = page.locator("[data-scan]").count()
    began = time.perf_counter()
    page.set_input_files("#files", query)
    page.locator("[data-scan]").nth(known).wait_for()
    listed = time.perf_counter() - began
    page.locator("[data-scan]").nth(known).locator("input[type=radio]").check()
    page.click("#segment")
    page.wait_for_selector(f"#query[data-shown]:not([data-shown='{before}'])")
    return {"listed_s": listed, "overlay_s": time.perf_counter() - began}


def weight(url: str) -> dict[str, int]:
    """Bytes of the page and all that it loads: on the wire, and unpacked."""
    base = url.split("#")[0]
    page = httpx.get(base).text
    found, wanted = {"/"}, ["/"]
    sizes = {"wire_bytes": 0, "bytes": 0, "files": 0}
    while wanted:
        with httpx.stream("GET", base.rstrip("/") + wanted.pop()) as answer:
            sizes["wire_bytes"] += sum(len(part) for part in answer.iter_raw())
        whole = httpx.get(str(answer.url)).content
        sizes["bytes"] += len(whole)
        sizes["files"] += 1
        text = whole.decode("utf-8", "replace") if "vendor" not in str(answer.url) else ""
        more = {f"/static/{name}" for name in re.findall(r'(?:/static/|from "\./)([\w./-]+\.(?:js|css))"', text)}
        wanted += sorted(more - found)
        found |= more
    assert "niivue" in page
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    result: dict[str, Any] = {"versions": versions(), "machine": machine(), "threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        support = drawn(root, 1)
        queries = [drawn(root, number)[0] for number in range(2, 3 + REPEATS)]
        starts = []
        for number in range(REPEATS):
            with serving(root / f"start{number}", options.threads) as (_, seconds):
                starts.append(seconds)
        result["start_s"] = median(starts)
        with serving(root / "data", options.threads) as (url, _), sync_playwright() as playwright:
            result["page"] = weight(url)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(PATIENCE_MS)
            page.goto(url)
            page.wait_for_selector("html[data-ready=true]")
            page.set_input_files("#files", list(support))
            page.wait_for_selector("[data-labels]")
            page.locator("[data-labels] input[type=checkbox]").first.check()
            page.locator("#organ-choice summary").click()
            page.locator("#organ-boxes input[value='5']").uncheck()
            drop_to_overlay(page, queries[0])  # warms up
            visits, commands = [], []
            for number, query in enumerate(queries[1:]):
                commands.append(command_line(support, query, root / f"out{number}", options.threads))
                visits.append(drop_to_overlay(page, query))
            browser.close()
        result["command_line_s"] = median(commands)
        result |= {name: median(visit[name] for visit in visits) for name in visits[0]}
        result["ratio"] = result["overlay_s"] / result["command_line_s"]
    print(result)
    write_json(options.out, result)


if __name__ == "__main__":
    main()
