"""Makes docs/viewer.png: a screenshot of `psmnet serve --demo` after a patient has been segmented.

python docs/make_viewer_picture.py [OUT [light|dark]]
"""

import io
import shutil
import subprocess
import sys
import tempfile

from PIL import Image
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL2 without a graphics card


def main(out: str = "docs/viewer.png", scheme: str = "light") -> None:
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        command = [
            sys.executable,
            "-c",
            "from psmnet.cli.main import main; main()",
            "serve",
            "--demo",
            "--port",
            "0",
            "--data",
            data,
        ]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().removeprefix("open ").strip()
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
            page.set_default_timeout(300_000)
            page.goto(url)
            page.wait_for_selector("html[data-ready=true]")
            page.wait_for_selector("#segment:enabled")
            page.click("#segment")
            page.wait_for_selector("#query[data-shown]")
            page.wait_for_timeout(2_000)  # the 3D view is drawn last
            Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(out, optimize=True)
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
