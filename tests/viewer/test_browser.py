"""The page in a real browser: Debian's Chromium, driven by Playwright; skipped by name where there is none."""

import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from helpers.serving import TOKEN, finished, listening
from psmnet.cli.main import main
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import read_labels, write_volume
from psmnet.viewer.runner import Runner

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",  # WebGL2 without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 420, "height": 900}

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
    # Playwright lets go of its own pipes when the interpreter collects them.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def server(tmp_path, tiny_weights):
    with listening(tmp_path / "data", str(tiny_weights)) as client:
        yield client


class Visit:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser, client, size=None):
        self.context = browser.new_context(viewport=size or WIDE, accept_downloads=True)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.base = str(client.base_url).removesuffix("/api/")
        self.wrong: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._local(request.url))

    def _local(self, url):
        if not url.startswith((self.base, "blob:", "data:")):
            self.wrong.append(f"asked elsewhere: {url}")

    def open(self):
        self.page.goto(f"{self.base}/#token={TOKEN}")
        self.page.wait_for_selector("html[data-ready=true]")
        return self.page

    def close(self):
        self.context.close()
        assert [line for line in self.wrong if "GPU stall" not in line and "software WebGL" not in line] == []


@pytest.fixture
def visit(browser, server):
    visits = []

    def opened(size=None):
        visits.append(Visit(browser, server, size))
        return visits[-1].open()

    yield opened
    for one in visits:
        one.close()


def loaded(page):
    page.click("#sample")
    expect(page.locator("[data-scan]")).to_have_count(3)
    expect(page.locator("#segment")).to_be_enabled()


def segmented(page):
    page.click("#segment")
    page.wait_for_selector("#query[data-shown]")
    return page.get_attribute("#query", "data-shown")


def picture(page, canvas):
    """The pixels of a canvas, as a person sees them."""
    return page.locator(canvas).screenshot()


def test_the_whole_loop(visit, server, tiny_weights, tmp_path):
    """Load, segment, see the mask, correct it, segment the next scan from both, download: the command line's mask."""
    page = visit()
    loaded(page)
    page.wait_for_timeout(500)
    before = picture(page, "#query-canvas")
    job = segmented(page)
    page.wait_for_timeout(500)
    assert picture(page, "#query-canvas") != before
    expect(page.locator("[data-organ]")).to_have_count(5)
    expect(page.locator("[data-organ='1']")).to_contain_text("liver")
    assert page.get_attribute(f"[data-job='{job}']", "data-state") == "done"

    page.click("#correct")
    page.check("[data-pen='4']")
    page.check("input[name=view][value=axial]")
    box = page.locator("#query-canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1], steps=8)
    page.mouse.up()
    page.click("#use-correction")
    expect(page.locator("#brush")).to_be_hidden()
    scans = {scan["name"]: scan for scan in server.get("/scans").json()}
    (corrected,) = (labels for labels in scans["patient 2"]["labels"] if labels["origin"] == "corrected")
    with page.expect_download() as waiting:
        page.click(f"[data-focus='download {corrected['id']}']")
    waiting.value.save_as(tmp_path / "kept.nii.gz")
    mask, drawn = (
        labels_of(server, path, tmp_path)
        for path in (f"/jobs/{job}/files/mask.nii.gz", f"/labels/{corrected['id']}/volume")
    )
    assert np.array_equal(read_labels(tmp_path / "kept.nii.gz").array_zyx, drawn.array_zyx)
    changed = mask.array_zyx != drawn.array_zyx
    assert changed.any()
    assert set(np.unique(drawn.array_zyx[changed])) == {4}
    np.testing.assert_allclose(mask.affine, drawn.affine, atol=1e-4)

    page.check(f"[data-scan='{scans['patient 3']['id']}'] input[type=radio]")
    page.click("#segment")
    page.wait_for_selector(f"#query[data-shown]:not([data-shown='{job}'])")
    second = page.get_attribute("#query", "data-shown")
    asked = server.get(f"/jobs/{second}").json()
    assert corrected["id"] in asked["supports"]
    assert len(asked["supports"]) == 2

    with page.expect_download() as waiting:
        page.click("#download-mask")
    waiting.value.save_as(tmp_path / "page.nii.gz")
    root = Path(tmp_path / "data" / "scans")
    one, two, three = (root / scans[f"patient {number}"]["id"] for number in (1, 2, 3))
    command = ["segment", str(three / "source.nii.gz"), "--weights", str(tiny_weights), "--threads", "1"]
    for scan, labels in ((one, scans["patient 1"]["labels"][0]["id"]), (two, corrected["id"])):
        command += ["--support", str(scan / "source.nii.gz"), str(scan / "labels" / labels / "labels.nii.gz")]
    main([*command, "--out", str(tmp_path / "cli")])
    expected = read_labels(tmp_path / "cli" / "source_seg.nii.gz")
    assert np.array_equal(read_labels(tmp_path / "page.nii.gz").array_zyx, expected.array_zyx)


def labels_of(server, path, folder):
    (folder / "fetched.nii.gz").write_bytes(server.get(path).content)
    return read_labels(folder / "fetched.nii.gz")


def test_files_are_taken_with_their_labels(visit, server, tmp_path):
    page = visit()
    image, labels = draw_patient(7, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
    write_volume(image, tmp_path / "case.nii.gz")
    write_volume(labels, tmp_path / "case_label.nii.gz")
    page.set_input_files("#files", [tmp_path / "case.nii.gz", tmp_path / "case_label.nii.gz"])
    expect(page.locator("[data-scan]")).to_have_count(1)
    expect(page.locator("[data-labels]")).to_have_count(1)
    assert [len(scan["labels"]) for scan in server.get("/scans").json()] == [1]


def test_what_can_not_be_used_is_said_as_the_server_says_it(browser, server, tmp_path):
    visit = Visit(browser, server)
    page = visit.open()
    (tmp_path / "broken.nii.gz").write_bytes(b"nonsense")
    (tmp_path / "broken_label.nii.gz").write_bytes(b"nonsense")
    page.set_input_files("#files", [tmp_path / "broken.nii.gz", tmp_path / "broken_label.nii.gz"])
    expect(page.locator("#errors")).to_contain_text("broken.nii.gz: the scan is not a NIfTI image")
    expect(page.locator("#errors")).to_contain_text("broken_label.nii.gz: not taken, as its scan")
    visit.context.close()


def test_outlines_are_the_borders_within_slices(visit):
    """Two equal slices of 5 x 5 with a full 3 x 3 square: its middle is inside, though no slice lies beyond."""
    found = visit().evaluate(
        """async () => {
            const { outlined } = await import("/static/labelmap.js");
            const square = [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0];
            return [...outlined(Uint8Array.from([...square, ...square]), [5, 5, 2], [1, 1, 8])];
        }"""
    )
    ring = np.zeros((5, 5), int)
    ring[1:4, 1:4] = 1
    ring[2, 2] = 0
    assert found == [*ring.ravel(), *ring.ravel()]


def test_a_stroke_is_not_thrown_away_unasked(visit):
    page = visit()
    loaded(page)
    segmented(page)
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("#correct")
    page.click("#leave-correction")
    expect(page.locator("#brush")).to_be_hidden()
    assert asked == []
    page.click("#correct")
    page.check("input[name=view][value=axial]")
    box = page.locator("#query-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    page.click("#leave-correction")
    expect(page.locator("#brush")).to_be_visible()
    assert asked == ["Throw this correction away?"]


def test_what_a_job_was_is_not_overwritten_by_an_older_answer(visit, server):
    page = visit()
    loaded(page)
    job = segmented(page)
    page.evaluate(
        """async (id) => {
            const { putJob } = await import("/static/jobs.js");
            const { state } = await import("/static/state.js");
            putJob({ ...state.jobs.get(id), state: "running" });
        }""",
        job,
    )
    assert page.get_attribute(f"[data-job='{job}']", "data-state") == "done"


def test_a_result_in_view_is_what_the_list_says(visit, server):
    page = visit()
    loaded(page)
    first = segmented(page)
    scans = {scan["name"]: scan["id"] for scan in server.get("/scans").json()}
    page.check(f"[data-scan='{scans['patient 3']}'] input[type=radio]")
    page.click(f"[data-job='{first}'] .job-show")
    expect(page.locator(f"[data-scan='{scans['patient 2']}'] input[type=radio]")).to_be_checked()
    expect(page.locator(f"[data-job='{first}'] small")).to_contain_text("from patient 1")
    expect(page.locator("#jobs-count")).to_have_text("1")


def test_a_reload_during_a_job_loses_nothing(visit, server, monkeypatch):
    monkeypatch.setattr("psmnet.viewer.runner.Engine.runner", property(lambda engine: partial(Slow, engine)))
    page = visit()
    loaded(page)
    page.click("#segment")
    page.wait_for_selector("[data-job][data-state=running]")
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    page.wait_for_selector("[data-job][data-state=done]")
    page.wait_for_selector("#query[data-shown]")


class Slow(Runner):
    def __call__(self, ticket):
        time.sleep(3)
        return super().__call__(ticket)


def test_two_browsers_see_each_others_jobs(visit, server):
    first, second = visit(), visit()
    loaded(first)
    second.reload()
    second.wait_for_selector("html[data-ready=true]")
    expect(second.locator("[data-scan]")).to_have_count(3)
    one = segmented(first)
    second.wait_for_selector(f"[data-job='{one}'][data-state=done]")
    two = segmented(second)
    first.wait_for_selector(f"[data-job='{two}'][data-state=done]")
    assert finished(server, one)["result"]["organs"] == finished(server, two)["result"]["organs"]


def test_the_token_leaves_the_address_and_a_wrong_one_is_asked_for_again(browser, server):
    visit = Visit(browser, server)
    page = visit.open()
    assert "token" not in page.url
    assert page.evaluate("Object.values(sessionStorage).join()").find(TOKEN) >= 0
    assert page.evaluate("Object.values(localStorage).join()").find(TOKEN) < 0
    other = visit.context.new_page()  # a tab of its own has none
    other.goto(visit.base)
    other.wait_for_selector("#token-dialog[open]")
    visit.context.close()


def test_a_phone_can_read_it_without_scrolling_sideways(visit):
    page = visit(PHONE)
    loaded(page)
    segmented(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_every_control_can_be_reached_by_keyboard_and_has_a_name(visit):
    page = visit()
    loaded(page)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"files", "sample", "segment", "help", "window"} <= reached
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select')].filter((control) => control.checkVisibility()
            && !(control.textContent.trim() || control.labels?.length || control.ariaLabel)).map((c) => c.outerHTML)"""
    )
    assert unnamed == []
