"""Learning from all scans on the page: label, learn, compare, correct, correct next."""

import pytest
from playwright.sync_api import expect

from helpers.browser import MARKS, PHONE, Visit, chromium, stroke
from helpers.serving import QUICK, listening, upload, upload_labels
from psmnet.io import read_labels
from psmnet.segmentation.learned_weights import load_learned
from psmnet.viewer.runner import Engine

pytestmark = [*MARKS, pytest.mark.slow]
PATIENCE_MS = 300_000  # of a learning


@pytest.fixture(scope="module")
def server(tmp_path_factory, tiny_weights, phantoms):
    """A labelled patient and three others."""
    engine = Engine(str(tiny_weights), "cpu", 1, QUICK)
    with listening(tmp_path_factory.mktemp("learn_page") / "data", "", engine=engine) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        for number in range(2, 5):
            upload(client, phantoms / f"image_{number}.nii.gz")
        yield client


def voxels(page, viewer):
    """Voxels of each organ's rank in the label map that is shown."""
    return page.evaluate(
        """async (viewer) => {
            const layers = (await import("/static/viewers.js"))[viewer]().layers;
            return [1, 2, 3, 4, 5].map((rank) => layers.labels.ranks.reduce((sum, voxel) => sum + (voxel === rank), 0));
        }""",
        viewer,
    )


def in_file(server, job, scan, name, folder):
    (folder / "mask.nii.gz").write_bytes(server.get(f"/jobs/{job}/scans/{scan}/files/{name}").content)
    found = read_labels(folder / "mask.nii.gz").array_zyx
    return [int((found == value).sum()) for value in range(1, 6)]


def test_label_learn_compare_correct_next(server, phantoms, tmp_path):
    with chromium() as browser:
        window = Visit(browser, server)
        whole_path(window.open(), server, phantoms, tmp_path)
        window.end()
        window.context.close()


def whole_path(page, server, phantoms, tmp_path):
    expect(page.locator("#learn-text")).to_have_text(
        "To learn from all scans, add 1 more without labels: 4 are needed, and there are 3."
    )
    expect(page.locator("#learn")).to_be_disabled()
    page.set_input_files("#files", phantoms / "image_5.nii.gz")
    expect(page.locator("#learn-text")).to_contain_text("on 1 labelled scan and the 4 without labels")
    page.click("#learn")
    expect(page.locator(".stages li")).to_have_count(6)
    expect(page.locator("[data-stage=now]")).to_contain_text("First masks")
    expect(page.locator("#learn")).to_be_disabled()
    page.reload()  # it goes on without the page
    page.keyboard.press("1")
    page.wait_for_selector("#query[data-shown]", timeout=PATIENCE_MS)
    job = page.get_attribute("#query", "data-shown")
    order = server.get(f"/jobs/{job}").json()["learned"]["scans"]
    names = {scan["id"]: scan["name"] for scan in server.get("/scans").json()}

    page.click(f"[data-scan='{order[0]['scan']}'] .scan-head .choice")
    page.wait_for_selector("#query[data-shown]")
    expect(page.locator("#learned-text")).to_have_text(
        f"{names[order[0]['scan']]} is number 1 of 4 to correct. {order[0]['why']}"
    )
    first, learned = (
        in_file(server, job, order[0]["scan"], name, tmp_path) for name in ("first.nii.gz", "mask.nii.gz")
    )
    assert first != learned
    expect(page.locator("#support-title")).to_have_text("First mask")
    assert (voxels(page, "supportViewer"), voxels(page, "queryViewer")) == (first, learned)
    page.keyboard.press("f")
    expect(page.locator("#query select")).to_have_value("first")
    expect(page.locator("#query.loading")).to_have_count(0)
    assert voxels(page, "queryViewer") == first
    expect(page.locator("[data-organ='1'] .confidence")).to_have_count(2)
    expect(page.locator(".learned .confidence")).to_have_count(4)

    page.click("#correct-next")
    second = order[1]
    expect(page.locator("#status")).to_have_text(f"{names[second['scan']]}: {second['why']}")
    page.wait_for_selector("#query[data-shown]")
    expect(page.locator("#query .viewer-title")).to_have_text(names[second["scan"]])
    page.click("#correct")
    page.check("[data-pen='4']")
    stroke(page)
    page.click("#use-correction")
    expect(page.locator("#brush")).to_be_hidden()
    (corrected,) = server.get(f"/scans/{second['scan']}").json()["labels"]
    expect(page.locator("#query select")).to_have_value(corrected["id"])
    (tmp_path / "drawn.nii.gz").write_bytes(server.get(f"/labels/{corrected['id']}/volume").content)
    drawn = int((read_labels(tmp_path / "drawn.nii.gz").array_zyx == 4).sum())
    assert drawn > in_file(server, job, second["scan"], "mask.nii.gz", tmp_path)[3]
    expect(page.locator("#learn-text")).to_contain_text("add 1 more without labels")

    page.click("#correct-next")
    expect(page.locator("#learned-text")).to_contain_text("is number 1 of 3 to correct.")
    page.click(f"[data-scan='{second['scan']}'] .scan-head .choice")
    expect(page.locator("#query select")).to_have_value(corrected["id"])  # the correction comes first
    page.select_option("#query select", "result")
    page.wait_for_selector("#query[data-shown]")
    assert voxels(page, "queryViewer") == in_file(server, job, second["scan"], "mask.nii.gz", tmp_path)

    with page.expect_download() as waiting:
        page.click("#download-network")
    waiting.value.save_as(tmp_path / "weights.safetensors")
    assert len(load_learned(tmp_path / "weights.safetensors").organs) == 5
    with page.expect_download() as waiting:
        page.click("#download-first")
    waiting.value.save_as(tmp_path / "first.nii.gz")
    page.evaluate("sessionStorage.removeItem('psmnet-choice')")
    page.reload()  # as if opened for the first time
    expect(page.locator("#learned-card")).to_be_visible()
    expect(page.locator("#support-title")).to_have_text("First mask")
    report_in_a_tab_of_its_own(page, names.values())
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def report_in_a_tab_of_its_own(page, names):
    """With its styles, which the page's policy would not let in as text."""
    wrong = []
    page.context.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    with page.expect_popup() as waiting:
        page.click("#open-report")
    report = waiting.value
    expect(report).to_have_title("Learned from 1 labelled scan and 4 unlabelled scans")
    assert report.locator("article img").count() == 4
    assert report.locator("article img").first.evaluate("image => getComputedStyle(image).display") == "block"
    text = report.locator("body").inner_text()
    assert sum(name in text for name in names) == 4
    report.close()
    assert [line for line in wrong if "WebGL" not in line] == []
