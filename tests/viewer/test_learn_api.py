"""Learning from all scans through the API: a tiny network, tiny patients, two steps."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.serving import QUICK, finished, listening, upload, upload_labels
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.segmentation.learned_weights import load_learned
from psmnet.segmentation.segmenter import Segmenter
from psmnet.viewer.limits import Limits
from psmnet.viewer.runner import Engine

pytestmark = pytest.mark.slow  # a server, six uploads and a learning in every process of the suite


@pytest.fixture(scope="module")
def taught(tmp_path_factory, tiny_weights, phantoms):
    """A viewer in which one labelled patient, a copy of it, and four others have been learned from."""
    root = tmp_path_factory.mktemp("learning") / "data"
    with listening(root, "", engine=Engine(str(tiny_weights), "cpu", 1, QUICK)) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        scans = [upload(client, phantoms / f"image_{number}.nii.gz", f"<i>{number}.nii.gz") for number in range(2, 6)]
        copy = upload(client, phantoms / "image_1.nii.gz", "copy.nii.gz")
        answer = client.post("/learn", json={"supports": [labels["id"]], "organs": [1, 4]})
        assert answer.status_code == 202, answer.text
        assert client.delete(f"/scans/{scans[0]['id']}").status_code == 409
        job = finished(client, answer.json()["id"])
        yield SimpleNamespace(client=client, root=root, support=support, labels=labels, scans=scans, job=job, copy=copy)


def fetched(taught, path, folder):
    answer = taught.client.get(path)
    assert answer.status_code == 200, answer.text
    (folder / "fetched.nii.gz").write_bytes(answer.content)
    return folder / "fetched.nii.gz"


def scan_path(taught, scan, name):
    return f"/jobs/{taught.job['id']}/scans/{scan}/files/{name}"


def test_every_scan_has_its_learned_mask_beside_its_first_one(taught):
    job = taught.job
    assert (job["kind"], job["query"], job["result"], job["stages"], job["left_s"]) == ("learn", None, None, [], None)
    assert job["scans"] == [scan["id"] for scan in (*taught.scans, taught.copy)]
    assert {one["scan"] for one in job["learned"]["scans"]} == {scan["id"] for scan in taught.scans}
    for one in job["learned"]["scans"]:
        assert one["files"] == ["mask.nii.gz", "first.nii.gz"]
        for organs in (one["organs"], one["first"]):
            assert [(organ["value"], organ["name"]) for organ in organs] == [(1, "label_1"), (4, "label_4")]
            assert all(("not found" in organ["flags"]) == (organ["volume_ml"] == 0) for organ in organs)
        assert one["why"].endswith(".")
        assert one["least_sure"] in (1, 4)
    doubts = [one["doubt"] for one in job["learned"]["scans"]]
    assert doubts == sorted(doubts, reverse=True)
    assert job["learned"]["left_out"] == [{"scan": taught.copy["id"], "reason": "it is a copy of a labelled scan"}]


def test_the_first_mask_is_that_of_segmenting(taught, phantoms, tiny_weights, tmp_path):
    image, labels = read_volume(phantoms / "image_1.nii.gz"), read_labels(phantoms / "label_1.nii.gz")
    segmenter = Segmenter.from_checkpoint(str(tiny_weights), "cpu")
    segmenter.set_support([(image, labels)], [1, 4])
    expected = segmenter.segment(read_volume(phantoms / "image_3.nii.gz"))
    scan = taught.scans[1]["id"]
    found = read_labels(fetched(taught, scan_path(taught, scan, "first.nii.gz"), tmp_path))
    assert np.array_equal(found.array_zyx, expected.array_zyx)
    first = next(one["first"] for one in taught.job["learned"]["scans"] if one["scan"] == scan)
    for organ in first:
        assert organ["volume_ml"] == pytest.approx((found.array_zyx == organ["value"]).sum() * 0.3)  # 5 x 5 x 12 mm


def test_the_learned_mask_is_on_the_scans_grid(taught, tmp_path):
    one = taught.job["learned"]["scans"][0]
    mask = read_labels(fetched(taught, scan_path(taught, one["scan"], "mask.nii.gz"), tmp_path))
    assert mask.array_zyx.shape == (12, 64, 64)
    for organ in one["organs"]:
        assert organ["volume_ml"] == pytest.approx((mask.array_zyx == organ["value"]).sum() * 0.3)


def test_the_network_segments_elsewhere(taught, tmp_path):
    assert "weights.safetensors" in taught.job["learned"]["files"]
    answer = taught.client.get(f"/jobs/{taught.job['id']}/files/weights.safetensors")
    (tmp_path / "weights.safetensors").write_bytes(answer.content)
    network = load_learned(tmp_path / "weights.safetensors")
    assert {value: organ.name for value, organ in network.organs.items()} == {1: "label_1", 4: "label_4"}


@pytest.mark.parametrize("name", ["learn.json", "..%2f..%2fviewer.sqlite3", "mask.dcm", "first_seg.nii.gz"])
def test_no_other_file_can_be_had(taught, name):
    assert taught.client.get(f"/jobs/{taught.job['id']}/files/{name}").status_code == 404
    assert taught.client.get(scan_path(taught, taught.scans[0]["id"], name)).status_code == 404
    assert taught.client.get(scan_path(taught, taught.support["id"], "mask.nii.gz")).status_code == 404


def test_matches_are_for_other_jobs(taught):
    answer = taught.client.get(f"/jobs/{taught.job['id']}/matches")
    assert answer.status_code == 404
    assert "compares no slices" in answer.json()["detail"]


def test_the_report_calls_scans_by_their_names(taught):
    assert taught.job["learned"]["files"] == ["weights.safetensors", "report.html"]
    text = taught.client.get(f"/jobs/{taught.job['id']}/files/report.html").text
    for scan, number in zip(taught.scans, range(2, 6), strict=True):
        assert scan["id"] not in text
        assert f"&lt;i&gt;{number}.nii.gz" in text
    assert "<i>" not in text


def test_no_pictures_and_nothing_to_go_on_with_are_left(taught):
    left = {path.name for path in (taught.root / "jobs" / taught.job["id"]).rglob("*")}
    assert "work" not in left
    assert not [name for name in left if name.endswith((".png", "contact_sheet.html"))]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"supports": ["LABELS", "LABELS"]}, 422, "two of the label sets belong to one scan"),
        ({"supports": ["0" * 16]}, 404, "does not exist"),
        ({"supports": ["LABELS"], "scans": ["SCAN1", "SCAN2"]}, 422, "there are 2 scans without labels, and learning"),
        ({"supports": ["LABELS"], "scans": ["SUPPORT", "SCAN1", "SCAN2"]}, 422, "has labels, and only scans without"),
        ({"supports": ["LABELS"], "scans": ["SCAN1", "0" * 16]}, 404, "does not exist"),
        ({"supports": ["LABELS"], "organs": [9]}, 422, "no labelled scan has [9]"),
        ({"supports": []}, 422, "supports"),
        ({"supports": ["LABELS"], "steps": 1}, 422, "steps"),
    ],
)
def test_what_can_not_be_learned_from(taught, body, status, told):
    text = json.dumps(body)
    for word, own in {
        "LABELS": taught.labels,
        "SUPPORT": taught.support,
        "SCAN1": taught.scans[0],
        "SCAN2": taught.scans[1],
    }.items():
        text = text.replace(word, own["id"])
    answer = taught.client.post("/learn", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert told in answer.json()["detail"]


def test_no_more_scans_than_may(tmp_path, phantoms):
    with listening(tmp_path / "data", "", Limits(learn_scans=4), Engine()) as client:
        support = upload(client, phantoms / "image_1.nii.gz")
        labels = upload_labels(client, support["id"], phantoms / "label_1.nii.gz")
        for number in range(5):
            upload(client, phantoms / "image_2.nii.gz", f"{number}.nii.gz")
        answer = client.post("/learn", json={"supports": [labels["id"]]})
        assert answer.status_code == 429
        assert "there are 5 scans without labels; learn from 4 at most" in answer.json()["detail"]


def test_a_correction_is_never_overwritten_and_counts_as_labelled(taught, phantoms, tmp_path):
    """Also the last: it changes what there is, and the scans that are deleted take everything of theirs with them."""
    client, job, scan = taught.client, taught.job, taught.scans[0]["id"]
    assert client.delete(f"/scans/{taught.copy['id']}").status_code == 204
    drawn = np.zeros((12, 64, 64), dtype=np.uint8)
    drawn[4:8, 20:30, 20:30] = 1
    write_volume(read_labels(phantoms / "label_2.nii.gz").with_array(drawn), tmp_path / "drawn.nii")
    other = client.post(
        f"/scans/{taught.support['id']}/labels",
        params={"name": "c.nii", "corrects": job["id"], "values": "4"},
        content=(tmp_path / "drawn.nii").read_bytes(),
    )
    assert "has no mask of this scan" in other.json()["detail"]
    corrected = upload_labels(client, scan, tmp_path / "drawn.nii", corrects=job["id"], values="4")
    assert (corrected["origin"], corrected["organs"][0]["name"]) == ("corrected", "label_4")

    again = client.post("/learn", json={"supports": [taught.labels["id"], corrected["id"]]})
    assert "there are 3 scans without labels, and learning needs 4; add 1 more" in again.json()["detail"]
    fifth = upload(client, phantoms / "image_6.nii.gz")
    started = client.post("/learn", json={"supports": [taught.labels["id"], corrected["id"]]}).json()
    assert scan not in started["scans"]
    assert fifth["id"] in started["scans"]
    client.delete(f"/jobs/{started['id']}")
    stored = read_labels(fetched(taught, f"/labels/{corrected['id']}/volume", tmp_path)).array_zyx
    assert np.array_equal(stored == 4, drawn == 1)


def test_a_deleted_scan_leaves_nothing_behind(taught):
    client, job, scan = taught.client, taught.job, taught.scans[3]["id"]
    folder = taught.root / "jobs" / job["id"]
    assert list(folder.rglob(f"{scan}*"))
    assert client.delete(f"/scans/{scan}").status_code == 204
    assert list(taught.root.rglob(f"*{scan}*")) == []
    assert not (folder / "report.html").exists()
    now = client.get(f"/jobs/{job['id']}").json()["learned"]
    assert scan not in [one["scan"] for one in now["scans"]]
    assert len(now["scans"]) == 3
    assert now["files"] == ["weights.safetensors"]
