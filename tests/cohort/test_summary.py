"""What is told of a cohort, from entries made up here."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psmnet.cohort.job import CohortJob, Loaded
from psmnet.cohort.records import CohortReport, SegmentedOrgan, SegmentedScan
from psmnet.cohort.summary import Cohort, write_summary
from psmnet.errors import InputError
from psmnet.io.organ_names import OrganName
from psmnet.io.scan_files import Query, Skipped
from psmnet.segmentation.methods import load_method
from psmnet.segmentation.supports import Supports


def entry(folder: Path, name: str, volume_ml: float, confidence: float):
    Image.fromarray(np.zeros((60, 900, 3), np.uint8)).save(folder / f"{name}_overlay.png")
    return SegmentedScan(
        query=f"{name}.nii.gz",
        name=name,
        mask=f"{name}_seg.nii.gz",
        overlay=f"{name}_overlay.png",
        confidence=confidence,
        labels={"liver": SegmentedOrgan(value=3, volume_ml=volume_ml, confidence=confidence)},
    )


@pytest.fixture
def told(tmp_path: Path):
    """Three scans, of which the second has no liver and the third is in doubt, and one that failed."""
    job = CohortJob(supports=((Path("/data/a.nii.gz"), Path("/data/b.nii.gz")),), out=tmp_path, key="k")
    loaded = Loaded(
        Supports((), {3: OrganName("liver")}), (3,), load_method("registration", None), ("/data/a.nii.gz: odd",)
    )
    entries = [
        entry(tmp_path, "good", 1500.0, 0.9),
        entry(tmp_path, "none", 0.0, 0.0),
        entry(tmp_path, "=bad", 1.0, 0.6),
    ]
    failed = [(Query(Path("/scans/x.nii.gz"), "x"), InputError("/scans/x.nii.gz is empty", "copy it"))]
    cohort = Cohort(entries, failed, [Skipped(Path("/scans/l.nii.gz"), "a label map")], 1, 2.0)
    write_summary(job, loaded, cohort)
    return tmp_path, cohort


def test_the_table(told):
    folder, _ = told
    with (folder / "summary.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["scan", "organ", "label", "volume_ml", "confidence", "flags", "mask", "failed"],
        ["good", "liver", "3", "1500.0", "0.9", "", "good_seg.nii.gz", ""],
        ["none", "liver", "3", "0.0", "0.0", "not found", "none_seg.nii.gz", ""],
        ["'=bad", "liver", "3", "1.0", "0.6", "unsure", "'=bad_seg.nii.gz", ""],
        ["x", "", "", "", "", "", "", "x.nii.gz is empty; copy it"],
    ]


def test_the_report(told):
    folder, _ = told
    report = json.loads((folder / "report.json").read_text())
    assert report["schema"] == "psmnet-segment-2"
    assert [one["flags"] for one in report["queries"]] == [
        {"liver": []},
        {"liver": ["not found"]},
        {"liver": ["unsure"]},
    ]
    assert report["failed"] == [{"query": "x.nii.gz", "name": "x", "reason": "x.nii.gz is empty; copy it"}]
    assert report["skipped"] == [{"file": "l.nii.gz", "reason": "a label map"}]
    assert (report["method"], report["weights_sha256"], report["settings_sha256"]) == ("registration", None, "k")


def test_the_report_reads_as_it_was_written(told):
    folder, cohort = told
    report = CohortReport.read(folder / "report.json")
    assert report.labels == {3: "liver"}
    assert [one.model_dump(exclude={"flags"}) for one in report.queries] == [one.model_dump() for one in cohort.entries]


def test_the_page_begins_with_what_to_check(told):
    folder, cohort = told
    assert [one.name for one in cohort.ranked()] == ["none", "=bad", "good"]
    page = (folder / "contact_sheet.html").read_text()
    assert "<h1>3 scans, 2 to check, 1 failed</h1>" in page
    places = [page.index(f"<figcaption>{name}</figcaption>") for name in ("none", "=bad", "good")]
    assert places == sorted(places)
    assert "liver: not found" in page
    assert 'href="%3Dbad_overlay.png"' in page
    assert page.count("data:image/jpeg;base64,") == 3
    row = '<td class="number">2</td><td class="number">750.5</td><td class="number">1.0</td>'
    assert row in page  # found in two, their median, the least
    assert "x.nii.gz is empty; copy it" in page
    assert 'width="640"' in page  # pictures are made small


def test_none_at_all(tmp_path):
    job = CohortJob(supports=(), out=tmp_path)
    loaded = Loaded(Supports((), {}), (), load_method("registration", None), ())
    failed = [(Query(Path("/scans/x.nii.gz"), "x"), InputError("it is empty", "copy it"))]
    write_summary(job, loaded, Cohort([], failed, [], 0, 0.0))
    assert "<h1>0 scans, 0 to check, 1 failed</h1>" in (tmp_path / "contact_sheet.html").read_text()
