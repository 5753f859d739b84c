"""The page of a learning: what stands on it, and how it looks in a browser."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from psmnet.cohort.learn_record import LabelledPair, LearnRecord
from psmnet.cohort.learn_report import gather_metrics, write_learn_report
from psmnet.cohort.records import FailedScan, SegmentedOrgan, SegmentedScan
from psmnet.cohort.summary import Cohort

CHROMIUM = shutil.which("chromium")
NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(learned_once: Path) -> str:
    return (learned_once / "run" / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def cohort(learned_once: Path) -> Cohort:
    """Masks of the scans that were learned from, image_5's liver missing."""

    def entry(name: str) -> SegmentedScan:
        volume = 0.0 if name == "image_5" else 1500.0
        organs = {"label_1": SegmentedOrgan(value=1, volume_ml=volume, confidence=0.9)}
        return SegmentedScan(query=name, name=name, mask="m", overlay="o", confidence=0.9, labels=organs)

    return Cohort([entry(f"image_{number}") for number in (2, 3, 4, 5)], [], [], 0, 1.0)


def written(run: Path, record: LearnRecord, cohort: Cohort, **pictures: Path | None) -> str:
    write_learn_report(run, record, cohort, pictures, None)
    return (run / "report.html").read_text(encoding="utf-8")


def test_every_scan_has_a_picture_and_the_doubtful_come_first(page, learned_once):
    record = LearnRecord.read(learned_once / "run" / "learn.json")
    shown = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', page)
    assert shown == [scan.name for scan in record.to_correct()]


def test_tables_and_curves(page):
    captions = re.findall(r"<caption>([^<]+)</caption>", page)
    assert captions == [
        *("Confidence by stage, mean over scans", "Agreement (Dice), mean over scans", "Correct first"),
        *("Learned from", "Time of the last run"),
    ]
    assert "image_1.nii.gz with label_1.nii.gz" in page
    assert page.count("<polyline") == 2  # both losses
    assert "<title>Learned from 1 labelled scan and 4 unlabelled scans</title>" in page


def test_nothing_is_loaded_and_no_script_runs(page):
    assert not re.search(r"<script|<link|<iframe|https?://", re.sub(r"base64,[^\"]+", "", page))
    assert "default-src 'none'; img-src data:" in page


def test_flags_volumes_and_a_missing_picture(learned_once, cohort, tmp_path):
    picture = tmp_path / "a.jpg"
    Image.new("RGB", (9, 9)).save(picture)
    record = LearnRecord.read(learned_once / "run" / "learn.json")
    found = written(tmp_path, record, cohort, image_2=picture, image_3=None)
    assert found.count("<img ") == 1
    assert "image_3: no picture" in found
    assert '<p class="warning">label_1: not found</p>' in found
    assert "label_1 1500 ml" in found


def test_names_from_outside_are_escaped(learned_once, cohort, tmp_path):
    record = LearnRecord.read(learned_once / "run" / "learn.json")
    record.notes = [NASTY, f"warning: {NASTY}"]
    record.copies = [NASTY]
    record.failed = [FailedScan(query=NASTY, name=NASTY, reason=NASTY)]
    record.labels = {1: NASTY}
    record.supports = [LabelledPair(image=NASTY, labels=NASTY, image_sha256="", labels_sha256="")]
    for scan in record.scans:
        scan.organs = {NASTY: scan.organs["label_1"]}
    found = written(tmp_path, record, cohort)
    assert NASTY not in found
    assert '<li class="warning">warning: &lt;script&gt;' in found
    assert "<caption>Not used</caption>" in found


def test_losses_of_all_rounds_in_one_file(tmp_path):
    for number in (1, 2):
        lines = [json.dumps({"step": step, "dice": 1 / step}) for step in range(1, number + 2)]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    gather_metrics([tmp_path / "1.jsonl", tmp_path / "2.jsonl"], tmp_path / "all.jsonl")
    found = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(one["round"], one["step"]) for one in found] == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    assert found[1]["dice"] == 0.5


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("width", "scheme", "dark"), [(1280, "light", False), (1280, "dark", True), (390, "light", False)]
)
def test_in_a_browser(learned_once, width, scheme, dark):
    """It fits the window, breaks no rule of its own policy, and is light or dark as wished."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.goto((learned_once / "run" / "report.html").as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        assert opened.evaluate("[...document.images].every(image => image.naturalWidth > 100)")
        assert opened.evaluate("[...document.images].every(i => i.getBoundingClientRect().right <= innerWidth)")
        red = opened.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert (red < 60) is dark
        assert opened.evaluate("getComputedStyle(document.querySelector('polyline')).stroke") not in ("none", "")
        assert said == []
        browser.close()
