"""The viewer's page in Debian's Chromium, driven by Playwright; tests are skipped by name where there is none."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from helpers.serving import TOKEN

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
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
WIDE, PHONE = {"width": 1000, "height": 700}, {"width": 420, "height": 900}

MARKS = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
    # Playwright lets go of its own pipes when the interpreter collects them.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


class Visit:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser, client):
        self.context = browser.new_context(
            viewport=WIDE, accept_downloads=True, reduced_motion="reduce", device_scale_factor=0.5
        )
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

    def open(self, view="axial"):
        """The page; one slice at a time by default, as 3D takes seconds without a graphics card."""
        self.page.goto(f"{self.base}/#token={TOKEN}")
        self.page.evaluate("async (view) => (await import('/static/state.js')).set({ view })", view)
        self.page.wait_for_selector("html[data-ready=true]")
        return self.page

    def end(self):
        """Nothing went wrong; what a test expected to go wrong it has cleared."""
        wrong, self.wrong[:] = [*self.wrong], []
        assert [line for line in wrong if "GPU stall" not in line and "software WebGL" not in line] == []


def stroke(page, up=0):
    """Draw to the right from the middle of the query, or from above it."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#query-canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - up
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()


def picture(page, canvas):
    """The pixels of a canvas, as a person sees them."""
    return page.locator(canvas).screenshot()
