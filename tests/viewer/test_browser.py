"""The page in a real browser: Debian's Chromium, driven by Playwright; skipped by name where there is none."""

import numpy as np
import pytest
from playwright.sync_api import expect

from helpers.browser import MARKS, PHONE, WIDE, Visit, chromium, picture, stroke
from helpers.serving import TOKEN, finished, listening
from psmnet.cli.main import main
from psmnet.data.phantom.patient import draw_patient
from psmnet.io import read_labels, write_volume

pytestmark = MARKS


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def running(tmp_path_factory, tiny_weights):
    """One server for all tests: its process for jobs has the network loaded after the first."""
    root = tmp_path_factory.mktemp("browser") / "data"
    with listening(root, str(tiny_weights)) as client:
        yield client, root


@pytest.fixture
def server(running):
    """The server with nothing in it but perhaps the samples."""
    client, _ = running
    yield client
    for job in client.get("/jobs").json():
        client.delete(f"/jobs/{job['id']}")
    for scan in client.get("/scans").json():
        for labels in scan["labels"]:
            if labels["origin"] != "sample":
                client.delete(f"/labels/{labels['id']}")
        if not scan["sample"]:
            client.delete(f"/scans/{scan['id']}")


@pytest.fixture
def empty(server):
    """The server with nothing in it at all."""
    for scan in server.get("/scans").json():
        server.delete(f"/scans/{scan['id']}")
    return server


RESET = """async () => {
    const { initial, set, state } = await import("/static/state.js");
    const { queryViewer } = await import("/static/viewers.js");
    const { refreshJobs } = await import("/static/jobs.js");
    const { refreshScans } = await import("/static/scans.js");
    if (state.correcting) queryViewer().closeDrawing();
    sessionStorage.removeItem("psmnet-choice");
    set({ ...initial(), scans: state.scans, jobs: state.jobs, view: "axial" });
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    document.querySelector("#errors").replaceChildren();
    await refreshJobs();
    await refreshScans();
}"""


@pytest.fixture(scope="module")
def window(browser, running):
    """One window for all tests: a new one compiles all of NiiVue's shaders."""
    opened = Visit(browser, running[0])
    opened.open()
    yield opened
    opened.context.close()


@pytest.fixture
def page(window, server):
    """The window as it is when the page has just been opened, and no error on it at the end."""
    window.page.set_viewport_size(WIDE)
    window.page.evaluate(RESET)
    yield window.page
    window.end()


def loaded(page):
    if page.locator("[data-scan]").count() < 3:
        page.click("#sample")
    expect(page.locator("[data-scan]")).to_have_count(3)
    expect(page.locator("#segment")).to_be_enabled()


def segmented(page):
    page.click("#segment")
    page.wait_for_selector("#query[data-shown]")
    return page.get_attribute("#query", "data-shown")


def drawn(page, organ):
    """Voxels of an organ in the drawing."""
    return page.evaluate(
        """async (rank) => (await import("/static/viewers.js")).queryViewer().nv.drawBitmap
            .reduce((sum, voxel) => sum + (voxel === rank), 0)""",
        organ,
    )


def test_the_whole_loop(page, server, running, tiny_weights, tmp_path):
    """Load, segment, see the mask, correct it, segment the next scan from both, download: the command line's mask."""
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
    stroke(page)
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
    root = running[1] / "scans"
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


def test_files_are_taken_with_their_labels(empty, page, server, tmp_path):
    image, labels = draw_patient(7, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
    write_volume(image, tmp_path / "case.nii.gz")
    write_volume(labels, tmp_path / "case_label.nii.gz")
    page.set_input_files("#files", [tmp_path / "case.nii.gz", tmp_path / "case_label.nii.gz"])
    expect(page.locator("[data-scan]")).to_have_count(1)
    expect(page.locator("[data-labels]")).to_have_count(1)
    assert [len(scan["labels"]) for scan in server.get("/scans").json()] == [1]


def test_what_can_not_be_used_is_said_as_the_server_says_it(window, page, tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"nonsense")
    (tmp_path / "broken_label.nii.gz").write_bytes(b"nonsense")
    page.set_input_files("#files", [tmp_path / "broken.nii.gz", tmp_path / "broken_label.nii.gz"])
    expect(page.locator("#errors")).to_contain_text("broken.nii.gz: the scan is not a NIfTI image")
    expect(page.locator("#errors")).to_contain_text("broken_label.nii.gz: not added, because its scan is missing")
    window.wrong.clear()


def test_outlines_are_the_borders_within_slices(page):
    """Two equal slices of 5 x 5 with a full 3 x 3 square: its middle is inside, though no slice lies beyond."""
    found = page.evaluate(
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


def test_undo_stops_at_what_the_job_made_and_strokes_are_not_discarded_unasked(page):
    loaded(page)
    segmented(page)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("#correct")
    page.click("#leave-correction")
    expect(page.locator("#brush")).to_be_hidden()
    assert asked == []
    page.click("#correct")
    page.check("[data-pen='5']")
    expect(page.locator("#undo")).to_be_disabled()
    counts = [drawn(page, 5)]
    for up in (0, 15, 30):
        stroke(page, up)
        counts.append(drawn(page, 5))
    assert sorted(set(counts)) == counts
    assert page.get_attribute("#undo", "title") == "Undo the last of 3 strokes"
    for count in counts[2::-1]:
        page.click("#undo")
        assert drawn(page, 5) == count
    expect(page.locator("#undo")).to_be_disabled()
    page.keyboard.press("Control+z")  # nothing is left
    assert drawn(page, 5) == counts[0]
    page.focus("#brush-size")  # a slider is no text to undo in
    page.keyboard.press("Meta+Shift+Z")  # as on macOS
    page.keyboard.press("Control+Shift+Z")
    assert drawn(page, 5) == counts[2]
    page.keyboard.press("Meta+z")
    assert drawn(page, 5) == counts[1]
    page.click("#redo")
    page.keyboard.press("Control+y")
    assert drawn(page, 5) == counts[3]
    expect(page.locator("#redo")).to_be_disabled()
    page.click("#undo")
    stroke(page, 45)  # what was undone can't be redone after another stroke
    expect(page.locator("#redo")).to_be_disabled()
    assert page.get_attribute("#undo", "title") == "Undo the last of 3 strokes"
    page.click("#leave-correction")
    expect(page.locator("#brush")).to_be_visible()
    assert asked == ["Discard this correction?"]


def test_undo_ends_at_what_is_still_known_of_many_strokes(page, server):
    loaded(page)
    segmented(page)
    keep_drawings(page, 4)
    page.click("#correct")
    seen = [drawn(page, 1)]
    for up in range(5):
        stroke(page, 12 * up)
        seen.append(drawn(page, 1))
    presses = 0
    while page.is_enabled("#undo"):
        page.click("#undo")
        presses += 1
    assert presses == 3
    assert drawn(page, 1) == seen[-4]
    for _ in range(3):
        page.click("#redo")
    assert drawn(page, 1) == seen[-1]
    expect(page.locator("#redo")).to_be_disabled()
    keep_drawings(page, 32)


def keep_drawings(page, count):
    page.evaluate(
        """async (count) => {
            const { OPTIONS } = await import("/static/niivue.js");
            const { queryViewer } = await import("/static/viewers.js");
            OPTIONS.maxDrawUndoBitmaps = queryViewer().nv.opts.maxDrawUndoBitmaps = count;
        }""",
        count,
    )


@pytest.fixture
def own(tmp_path):
    """A patient of the user's own, as files."""
    image, labels = draw_patient(7, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
    for name in ("own", "other"):
        write_volume(image, tmp_path / f"{name}.nii.gz")
        write_volume(labels, tmp_path / f"{name}_label.nii.gz")
    return tmp_path


def chosen(page):
    """Names of the scan to segment and of those to learn from."""
    return page.evaluate(
        """async () => {
            const { labelsOf, scanOf, state } = await import("/static/state.js");
            return [scanOf(state.query)?.name ?? null, state.supports.map((id) => scanOf(labelsOf(id).scan).name)];
        }"""
    )


def test_an_added_scan_is_segmented_in_place_of_the_sample(page, server, own):
    loaded(page)
    segmented(page)
    page.set_input_files("#files", [own / "own.nii.gz"])
    expect(page.locator("#query .viewer-title")).to_have_text("own.nii.gz")
    assert chosen(page) == ["own.nii.gz", ["patient 1"]]
    page.set_input_files("#files", [own / "other.nii.gz", own / "other_label.nii.gz"])
    expect(page.locator("#support .viewer-title")).to_have_text("other.nii.gz")
    assert chosen(page) == ["own.nii.gz", ["other.nii.gz"]]


def test_labels_of_the_added_scan_leave_no_sample_to_be_segmented(page, server, own):
    loaded(page)
    page.set_input_files("#files", [own / "own.nii.gz", own / "own_label.nii.gz"])
    expect(page.locator("#setup-text")).to_have_text("Choose the scan to segment.")
    assert chosen(page) == [None, ["own.nii.gz"]]


def test_what_was_chosen_by_hand_stays_when_files_are_added(page, server, own):
    loaded(page)
    scans = {scan["name"]: scan for scan in server.get("/scans").json()}
    page.check(f"[data-scan='{scans['patient 3']['id']}'] input[type=radio]")
    page.set_input_files("#files", [own / "own.nii.gz"])
    expect(page.locator("#status")).to_have_text("1 file added. The scan to segment is still patient 3.")
    assert chosen(page) == ["patient 3", ["patient 1"]]
    expect(page.locator("[data-scan]", has_text="own.nii.gz")).to_be_in_viewport()
    segmented(page)  # that choice has been used: the next file is what comes next
    page.set_input_files("#files", [own / "other.nii.gz"])
    expect(page.locator("#query .viewer-title")).to_have_text("other.nii.gz")


def test_no_reference_is_picked_unasked(page, server):
    loaded(page)
    scans = {scan["name"]: scan for scan in server.get("/scans").json()}
    page.check(f"[data-scan='{scans['patient 3']['id']}'] input[type=radio]")
    expect(page.locator("#reference")).to_have_value("")
    job = segmented(page)
    assert server.get(f"/jobs/{job}").json()["reference"] is None


def test_a_scan_deleted_in_another_tab_is_called_by_its_name(window, page, server):
    loaded(page)
    three = server.get("/scans").json()[2]
    server.delete(f"/scans/{three['id']}")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click(f"[data-scan='{three['id']}'] [data-focus=remove]")
    expect(page.locator("#errors")).to_contain_text("scan patient 3 does not exist; it may have been deleted")
    expect(page.locator("[data-scan]")).to_have_count(2)
    window.wrong.clear()


def test_what_a_job_was_is_not_overwritten_by_an_older_answer(page, server):
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


def test_a_result_in_view_is_what_the_list_says(page, server):
    loaded(page)
    first = segmented(page)
    scans = {scan["name"]: scan["id"] for scan in server.get("/scans").json()}
    page.check(f"[data-scan='{scans['patient 3']}'] input[type=radio]")
    page.click(f"[data-job='{first}'] .job-show")
    expect(page.locator(f"[data-scan='{scans['patient 2']}'] input[type=radio]")).to_be_checked()
    expect(page.locator(f"[data-job='{first}'] small")).to_contain_text("from patient 1")
    expect(page.locator("#jobs-count")).to_have_text("1")


def test_a_reload_during_a_job_loses_nothing(page, server):
    loaded(page)
    one, two, _ = server.get("/scans").json()
    for _ in range(2):  # these are done first
        server.post("/jobs", json={"supports": [one["labels"][0]["id"]], "query": two["id"]})
    page.click("#segment")
    expect(page.locator("#status")).to_have_text("Segmenting patient 2 …")
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    expect(page.locator("[data-job][data-state=done]")).to_have_count(3)
    page.wait_for_selector("#query[data-shown]")


def test_jobs_of_other_windows_are_seen(page, server):
    loaded(page)
    one, two, _ = server.get("/scans").json()
    body = {"supports": [one["labels"][0]["id"]], "query": two["id"]}
    other = server.post("/jobs", json=body).json()["id"]
    page.wait_for_selector(f"[data-job='{other}'][data-state=done]")
    expect(page.locator("#query[data-shown]")).to_have_count(0)  # it was not this window's
    own = segmented(page)
    volumes = [[organ["volume_ml"] for organ in finished(server, job)["result"]["organs"]] for job in (own, other)]
    assert volumes[0] == volumes[1]
    server.delete(f"/jobs/{other}")
    expect(page.locator(f"[data-job='{other}']")).to_have_count(0)


def test_the_token_leaves_the_address_and_a_wrong_one_is_asked_for_again(window, page):
    assert "token" not in page.url
    assert page.evaluate("Object.values(sessionStorage).join()").find(TOKEN) >= 0
    assert page.evaluate("Object.values(localStorage).join()").find(TOKEN) < 0
    other = window.context.new_page()  # a tab of its own has none
    other.goto(window.base)
    other.wait_for_selector("#token-dialog[open]")
    expect(other.locator("#token-wrong")).to_be_hidden()
    for wrong in ("not-the-token", "kein Schlüssel ✗"):
        other.fill("#token", wrong)
        other.click("#token-dialog button")
        expect(other.locator("#token-wrong")).to_contain_text("did not accept this token")
        expect(other.locator("#token")).to_have_value("")
    other.fill("#token", f"{window.base}/#token={TOKEN}")
    other.click("#token-dialog button")
    other.wait_for_selector("html[data-ready=true]")
    other.close()


def test_a_phone_can_read_it_without_scrolling_sideways(page):
    page.set_viewport_size(PHONE)
    page.check("input[name=view][value=multi]")
    loaded(page)
    segmented(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_every_control_can_be_reached_by_keyboard_and_has_a_name(page):
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
