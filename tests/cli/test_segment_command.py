"""psmnet segment: what it writes and prints, how it goes on, what it never tells; one writer per folder."""

import gzip
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from helpers.commands import contents, only_line, segment
from helpers.dicom_files import write_series
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.system.files import read_json
from psmnet.system.locks import LOCK_NAME, locked

pytestmark = pytest.mark.usefixtures("one_process")


def test_report_of_segment(cli, data, tmp_path, tiny_weights):
    image = read_volume(data / "image_2.nii.gz")
    array = image.array_zyx.copy()
    array[0, 0, :3] = np.nan
    write_volume(image.with_array(array), data / "image_2.nii.gz")
    (data / "image_3.nii.gz").write_bytes(b"")
    outcome = cli(*segment(tmp_path / "masks", data, tiny_weights, data, "--labels", "1,4"))
    assert outcome.code == 2  # image 3
    report = read_json(tmp_path / "masks" / "report.json")
    assert set(report) == {
        "schema",
        "supports",
        "labels",
        "queries",
        "failed",
        "skipped",
        "notes",
        "method",
        "weights_sha256",
        "settings_sha256",
        "versions",
        "seconds",
    }
    assert report["supports"] == [{"image": "image_1.nii.gz", "labels": "label_1.nii.gz"}]
    assert report["labels"] == {"1": "label_1", "4": "label_4"}
    assert [entry["query"] for entry in report["queries"]] == [f"image_{n}.nii.gz" for n in (2, 4, 5, 6)]
    assert {entry["file"]: entry["reason"] for entry in report["skipped"]} == {
        "image_1.nii.gz": "the support itself",
        "label_1.nii.gz": "the support itself",
    } | {f"label_{n}.nii.gz": "a label map" for n in range(2, 7)}
    assert report["failed"] == [
        {
            "query": "image_3.nii.gz",
            "name": "image_3",
            "reason": "image_3.nii.gz is empty (0 bytes); copy or export the file again",
        }
    ]
    first = report["queries"][0]
    assert "image_2.nii.gz: 3 of 49152 voxels are not finite" in first["notes"][0]
    mask = read_labels(tmp_path / "masks" / first["mask"])
    assert set(first["labels"]) == {"label_1", "label_4"}
    for found in first["labels"].values():
        voxels = int((mask.array_zyx == found["value"]).sum())
        assert found["volume_ml"] == pytest.approx(voxels * 5 * 5 * 12 / 1000)
        assert 0 <= found["confidence"] <= 1
    assert (tmp_path / "masks" / first["overlay"]).exists()
    text = (tmp_path / "masks" / "report.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text  # a folder may bear a person's name


def test_segment_ends_with_what_to_look_at_first(cli, segmented, tiny_weights):
    masks = segmented / "masks"
    outcome = cli(*segment(masks, segmented, tiny_weights, segmented / "image_2.nii.gz", segmented / "image_3.nii.gz"))
    assert (outcome.code, outcome.err) == (0, "")
    report = read_json(masks / "report.json")
    worst = min(report["queries"], key=lambda entry: entry["confidence"])
    *_, counted, overlays, last = outcome.out.splitlines()
    assert counted == f"masks: 2 in {masks} (<name>_seg.nii.gz)"
    assert overlays == f"table and pictures: {masks / 'summary.csv'}, {masks / 'contact_sheet.html'}"
    assert last.startswith(f"look first at: {masks / worst['overlay']} (")


def test_segment_with_several_supports(cli, data, tmp_path, tiny_weights):
    second = ("--support", data / "image_4.nii.gz", data / "label_4.nii.gz")
    outcome = cli(*segment(tmp_path / "masks", data, tiny_weights, data / "image_2.nii.gz", *second))
    assert (outcome.code, outcome.err) == (0, "")
    assert len(read_json(tmp_path / "masks" / "report.json")["supports"]) == 2


def test_segment_goes_on_where_it_was_interrupted(cli, segmented, tiny_weights):
    masks = segmented / "masks"
    before = contents(masks)
    (masks / ".tmp-half.nii.gz").write_bytes(b"of a run that was killed")
    both = segment(masks, segmented, tiny_weights, segmented / "image_2.nii.gz", segmented / "image_3.nii.gz")
    outcome = cli(*both)
    assert (outcome.code, outcome.err) == (0, "")
    assert "kept: 1 of 2, done before with the same inputs and settings" in outcome.out
    after = contents(masks)
    own = {f"image_{n}_{end}" for n in (2, 3) for end in ("seg.nii.gz", "seg.json", "overlay.png")}
    assert set(after) == own | {"report.json", "summary.csv", "contact_sheet.html"}
    assert {name: after[name] for name in before if name.startswith("image_2")} == {
        name: content for name, content in before.items() if name.startswith("image_2")
    }
    assert [entry["query"] for entry in read_json(masks / "report.json")["queries"]] == [
        "image_2.nii.gz",
        "image_3.nii.gz",
    ]


def test_masks_of_other_settings_are_not_replaced(cli, segmented, tiny_weights):
    masks = segmented / "masks"
    before = contents(masks)
    other = (*segment(masks, segmented, tiny_weights, segmented / "image_2.nii.gz"), "--labels", "1")
    line = only_line(cli(*other))
    mask = masks / "image_2_seg.nii.gz"
    assert f"{mask} already exists, from another scan or other settings; choose another --out folder" in line
    assert contents(masks) == before
    assert cli(*other, "--overwrite").code == 0
    assert set(np.unique(read_labels(mask).array_zyx)) <= {0, 1}


def test_anonymised_outputs_contain_no_name(cli, data, tmp_path, tiny_weights):
    """A tagged DICOM scan and a file under a folder called after a patient: nothing that is written or said tells."""
    folder = data / "DOE^JANE"
    folder.mkdir()
    for name in ("image_1", "label_1", "image_2"):
        (data / f"{name}.nii.gz").rename(folder / f"Doe_Jane_{name}.nii.gz")
    scan = read_volume(data / "image_3.nii.gz")
    tags = {"PatientName": "DOE^JANE", "PatientID": "DOE-1955", "PatientBirthDate": "19550505"}
    stored = np.rint(scan.array_zyx * 10).astype(np.int16)
    write_series(folder / "Jane Doe T2", stored, spacing_mm=scan.spacing_mm, **tags)
    support = ("--support", folder / "Doe_Jane_image_1.nii.gz", folder / "Doe_Jane_label_1.nii.gz")
    (folder / "Doe_Jane_broken.nii.gz").write_bytes(b"no image")
    out = tmp_path / "masks"
    outcome = cli("segment", folder, *support, "--weights", tiny_weights, "--out", out, "--anonymise", "--workers", 1)
    assert outcome.code == 2
    assert "1 of 3 scans failed: scan_" in outcome.err
    found = contents(out)
    assert len([name for name in found if name.endswith("_seg.nii.gz")]) == 2
    for name, content in {**found, "out": outcome.out.encode(), "err": outcome.err.encode()}.items():
        whole = gzip.decompress(content) if name.endswith(".gz") else re.sub(rb"base64,[^\"]*", b"", content)
        for secret in (b"doe^jane", b"doe_jane", b"jane doe", b"doe-1955", b"19550505"):
            assert secret not in whole.lower(), (name, secret)
            assert secret not in name.lower().encode()


def test_segment_on_a_cluster_far_away_in_clear(cli, data, tmp_path, tiny_weights):
    arguments = segment(
        tmp_path / "masks", data, tiny_weights, data / "image_2.nii.gz", "--cluster", "tcp://10.0.0.1:8786"
    )
    outcome = cli(*arguments)
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "; --insecure allows it" in outcome.err
    assert not (tmp_path / "masks").exists()
    outcome = cli(*arguments, "--insecure", "--workers", 2)
    assert "--workers and --cluster exclude each other; " in outcome.err


@pytest.mark.usefixtures("tiny_preset")
def test_one_writer_per_folder(cli, data, tmp_path, tiny_weights):
    out = tmp_path / "masks"
    with locked(out):
        for command in (
            segment(tmp_path / "masks", data, tiny_weights, data / "image_2.nii.gz"),
            ["train", data, "--dataset", "phantom", "--out", out, "--device", "cpu"],
            ["pseudolabel", data, "--dataset", "phantom", "--out", out],
            ["phantom", out],
            ["demo", "--out", out],
        ):
            outcome = cli(*command)
            assert outcome.code == 2
            assert f"{out} is being written by process {os.getpid()} on " in outcome.err
            assert len(outcome.err.splitlines()) == 1
        assert [path.name for path in out.iterdir()] == [LOCK_NAME]
    assert not out.exists()


def test_a_dead_owners_lock_is_taken_over(cli, segmented, tiny_weights):
    masks = segmented / "masks"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with locked(masks):
        _, host, *_ = (masks / LOCK_NAME).read_text().splitlines()
    (masks / LOCK_NAME).write_text(f"{gone.pid}\n{host}\n", encoding="utf-8")
    outcome = cli(*segment(masks, segmented, tiny_weights, segmented / "image_2.nii.gz"))
    assert (outcome.code, outcome.err) == (0, "")
    assert not (masks / LOCK_NAME).exists()
