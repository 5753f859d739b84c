"""The API from upload to mask, as a program uses it."""

import gzip
import io
import json
import shutil
import zipfile

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from helpers.dicom_files import write_series
from helpers.serving import finished, listening, upload, upload_labels
from psmnet.cli.main import main
from psmnet.evaluation.metrics import score
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.report.overlay import css_colour
from psmnet.viewer.intake import distinct_names, printable, require_decodable
from psmnet.viewer.limits import Limits
from psmnet.viewer.refusals import TooLarge
from psmnet.volume.volume import Volume


def put(tmp_path, content):
    path = tmp_path / "download.nii.gz"
    path.write_bytes(content)
    return path


def ask(room, **more):
    answer = room.client.post("/jobs", json={"supports": [room.labels["id"]], "query": room.query["id"]} | more)
    assert answer.status_code == 202, answer.text
    return answer.json()


@pytest.fixture(scope="session")
def done(room, phantoms):
    """A finished job with a reference."""
    reference = upload_labels(room.client, room.query["id"], phantoms / "label_2.nii.gz")
    return finished(room.client, ask(room, reference=reference["id"])["id"])


def test_a_scan_is_told_as_it_is(room):
    assert room.query["name"] == "image_2.nii.gz"
    assert room.query["size"] == [64, 64, 12]
    assert room.query["spacing_mm"] == [5.0, 5.0, 12.0]
    assert room.query["sample"] is False
    assert room.query["modality"] == ""
    assert room.query["created"] < room.query["expires"]
    assert room.client.get(f"/scans/{room.query['id']}").json()["labels"] == room.query["labels"] or True
    assert room.query["id"] in [scan["id"] for scan in room.client.get("/scans").json()]


def test_labels_are_told_with_their_colours(room):
    assert [organ["value"] for organ in room.labels["organs"]] == [1, 2, 3, 4, 5]
    assert room.labels["organs"][0] == {"value": 1, "name": "label_1", "colour": css_colour(1)}
    assert room.labels["origin"] == "upload"
    assert room.client.get(f"/labels/{room.labels['id']}").json() == room.labels


def test_what_the_page_sees_is_the_scan(room, phantoms, tmp_path):
    shown = room.client.get(f"/scans/{room.query['id']}/volume")
    (tmp_path / "view.nii").write_bytes(shown.content)
    seen, sent = read_volume(tmp_path / "view.nii"), read_volume(phantoms / "image_2.nii.gz")
    assert np.array_equal(seen.array_zyx, sent.array_zyx)
    np.testing.assert_allclose(seen.affine, sent.affine, atol=1e-4)
    labels = read_labels(put(tmp_path, room.client.get(f"/labels/{room.labels['id']}/volume").content))
    assert np.array_equal(labels.array_zyx, read_labels(phantoms / "label_1.nii.gz").array_zyx)


def test_a_mask_is_the_command_lines(room, done, phantoms, tiny_weights, tmp_path):
    scan, image, labels = (str(phantoms / f"{name}.nii.gz") for name in ("image_2", "image_1", "label_1"))
    out = tmp_path / "cli"
    main(
        [
            "segment",
            scan,
            "--support",
            image,
            labels,
            "--weights",
            str(tiny_weights),
            "--threads",
            "1",
            "--out",
            str(out),
        ]
    )
    expected = read_labels(out / "image_2_seg.nii.gz")
    mask = room.client.get(f"/jobs/{done['id']}/files/mask.nii.gz")
    assert mask.headers["content-disposition"] == 'attachment; filename="mask.nii.gz"'
    found = read_labels(put(tmp_path, mask.content))
    assert np.array_equal(found.array_zyx, expected.array_zyx)
    np.testing.assert_array_equal(found.affine, expected.affine)


def test_a_result_tells_volumes_and_metrics(room, done, phantoms, tmp_path):
    mask = read_labels(put(tmp_path, room.client.get(f"/jobs/{done['id']}/files/mask.nii.gz").content))
    truth = read_labels(phantoms / "label_2.nii.gz")
    assert done["progress"] == 1
    assert done["started"] < done["finished"]
    assert [organ["value"] for organ in done["result"]["organs"]] == [1, 2, 3, 4, 5]
    for organ in done["result"]["organs"]:
        found, reference = mask.array_zyx == organ["value"], truth.array_zyx == organ["value"]
        assert organ["volume_ml"] == pytest.approx(found.sum() * 0.3)  # 5 x 5 x 12 mm
        assert organ["metrics"]["dice"] == pytest.approx(score(found, reference, truth.spacing_mm).dice)
        assert organ["colour"] == css_colour(organ["value"])
        assert ("not found" in organ["flags"]) == (organ["volume_ml"] == 0)


def test_every_file_of_a_result_can_be_had(room, done):
    assert done["result"]["files"] == ["mask.nii.gz", "uncertainty.nii.gz", "overlay.png"]
    for name in done["result"]["files"]:
        content = room.client.get(f"/jobs/{done['id']}/files/{name}").content
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"\x1f\x8b")


@pytest.mark.parametrize("name", ["mask.dcm", "query_seg.json", "..%2f..%2fviewer.sqlite3", "%2e%2e", "mask.nii.gz%00"])
def test_no_other_file_can(room, done, name):
    assert room.client.get(f"/jobs/{done['id']}/files/{name}").status_code == 404


def test_matches_point_into_both_scans(room, done, phantoms):
    found = room.client.get(f"/jobs/{done['id']}/matches").json()["organs"]
    assert set(found) <= {"1", "2", "3", "4", "5"}
    labels = read_labels(phantoms / "label_1.nii.gz")
    lps_to_voxel = np.linalg.inv(labels.affine)
    for value, slices in found.items():
        assert [one["slice"] for one in slices] == sorted({one["slice"] for one in slices})
        for served in (served for one in slices for served in one["served"]):
            assert served["labels"] == room.labels["id"]
            x, y, z = served["mm"]
            at = lps_to_voxel @ (-x, -y, z, 1)
            assert at[2] == pytest.approx(served["slice"] - 1, abs=1e-3)
            assert (labels.array_zyx[served["slice"] - 1] == int(value)).any()


def test_some_organs_only(room):
    job = finished(room.client, ask(room, organs=[2, 4])["id"])
    assert [organ["value"] for organ in job["result"]["organs"]] == [2, 4]


def test_a_corrected_mask_is_a_support_with_the_jobs_names(room, done, phantoms, tmp_path):
    """Drawn in bytes 1 and 2, which stand for organs 4 and 2."""
    drawn = np.zeros((12, 64, 64), dtype=np.uint8)
    drawn[4:8, 20:30, 20:30] = 1
    drawn[4:8, 20:30, 35:45] = 2
    path = tmp_path / "drawn.nii"
    write_volume(read_labels(phantoms / "label_2.nii.gz").with_array(drawn), path)
    corrected = upload_labels(room.client, room.query["id"], path, "corrected.nii", corrects=done["id"], values="4,2")
    assert corrected["origin"] == "corrected"
    assert [(organ["value"], organ["name"]) for organ in corrected["organs"]] == [(2, "label_2"), (4, "label_4")]
    stored = read_labels(put(tmp_path, room.client.get(f"/labels/{corrected['id']}/volume").content)).array_zyx
    assert np.array_equal(stored == 4, drawn == 1)
    assert np.array_equal(stored == 2, drawn == 2)
    third = upload(room.client, phantoms / "image_3.nii.gz")
    answer = room.client.post("/jobs", json={"supports": [room.labels["id"], corrected["id"]], "query": third["id"]})
    both = finished(room.client, answer.json()["id"])
    assert {served["labels"] for served in served_of(room, both)} == {room.labels["id"], corrected["id"]}


def served_of(room, job):
    found = room.client.get(f"/jobs/{job['id']}/matches").json()["organs"]
    return [served for slices in found.values() for one in slices for served in one["served"]]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"corrects": "0" * 16, "values": "1"}, "does not exist"),
        ({"values": "1"}, "go together"),
        ({"corrects": "DONE"}, "go together"),
        ({"corrects": "DONE", "values": "9"}, "not organs of this job"),
        ({"corrects": "DONE", "values": "1,2"}, "has a voxel of 5, but 2 values"),
        ({"corrects": "DONE", "values": "1;2"}, "values"),
    ],
)
def test_a_correction_that_does_not_fit(room, done, phantoms, more, told):
    more = {name: done["id"] if value == "DONE" else value for name, value in more.items()}
    answer = room.client.post(
        f"/scans/{room.query['id']}/labels",
        params={"name": "c.nii.gz", **more},
        content=(phantoms / "label_2.nii.gz").read_bytes(),
    )
    assert answer.status_code in (404, 422)
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("shift", "told"),
    [
        (1.3, "the labels (size (64, 60, 12), "),  # between voxels: no crop
        (
            30.0,
            "the labels has the size of the scan but lies elsewhere: voxels are up to 30 mm apart; is this the label",
        ),
    ],
)
def test_labels_that_lie_elsewhere_are_told_from_their_scan(room, phantoms, tmp_path, shift, told):
    labels = read_labels(phantoms / "label_1.nii.gz")
    array = labels.array_zyx if shift == 30 else np.ascontiguousarray(labels.array_zyx[:, 2:62])
    origin_mm = (labels.origin_mm[0] + shift, *labels.origin_mm[1:])
    write_volume(type(labels)(array, labels.spacing_mm, origin_mm), tmp_path / "elsewhere.nii.gz")
    scan = upload(room.client, phantoms / "image_1.nii.gz")
    content = (tmp_path / "elsewhere.nii.gz").read_bytes()
    answer = room.client.post(f"/scans/{scan['id']}/labels", params={"name": "e.nii.gz"}, content=content)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert "of the file" not in answer.json()["detail"]
    assert "--" not in answer.json()["detail"]


def test_an_organ_that_no_support_has(room):
    body = {"supports": [room.labels["id"]], "query": room.query["id"], "organs": [1, 77]}
    answer = room.client.post("/jobs", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "no labelled scan has [77]; choose organs of [1, 2, 3, 4, 5]"


def test_a_zip_of_dicom_slices_is_a_scan(room, tmp_path):
    folder = tmp_path / "slices"
    values = np.random.default_rng(0).integers(0, 1000, (8, 64, 64)).astype(np.int16)
    write_series(folder, values, modality="MR")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        for number, path in enumerate(sorted(folder.iterdir())):
            out.write(path, f"../PATIENT NAME/{number}/{path.name}")
    answer = room.client.post("/scans", params={"name": "../../series.zip"}, content=packed.getvalue())
    assert answer.status_code == 201, answer.text
    scan = answer.json()
    assert (scan["name"], scan["modality"], scan["size"]) == ("series.zip", "MR", [64, 64, 8])
    assert "secret-4711" not in json.dumps(room.client.get("/scans").json())


def test_a_zip_of_masks_keeps_their_names(room, phantoms, tmp_path):
    labels = read_labels(phantoms / "label_1.nii.gz")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as out:
        for value, name in ((4, "spleen"), (1, "../../liver")):
            write_volume(labels.with_array((labels.array_zyx == value).astype(np.uint8)), tmp_path / "one.nii.gz")
            out.write(tmp_path / "one.nii.gz", f"masks/{name}.nii.gz")
    scan = upload(room.client, phantoms / "image_1.nii.gz")
    found = upload_labels(room.client, scan["id"], tmp_path / "masks.zip")
    assert sorted(organ["name"] for organ in found["organs"]) == ["liver", "spleen"]


def test_masks_of_one_name_are_told_apart(room, phantoms, tmp_path):
    labels = read_labels(phantoms / "label_1.nii.gz")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as out:
        for value, folder in ((4, "a"), (1, "b")):
            write_volume(labels.with_array((labels.array_zyx == value).astype(np.uint8)), tmp_path / "one.nii.gz")
            out.write(tmp_path / "one.nii.gz", f"{folder}/liver.nii.gz")
    scan = upload(room.client, phantoms / "image_1.nii.gz")
    found = upload_labels(room.client, scan["id"], tmp_path / "masks.zip")
    assert [organ["name"] for organ in found["organs"]] == ["liver", "liver 2"]
    answer = room.client.post("/jobs", json={"supports": [found["id"]], "query": room.query["id"]}).json()
    assert [o["name"] for o in finished(room.client, answer["id"])["result"]["organs"]] == ["liver", "liver 2"]


def test_what_overlaps_is_said(room, phantoms, tmp_path):
    labels = read_labels(phantoms / "label_1.nii.gz")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as out:
        for name in ("liver", "body"):
            write_volume(labels.with_array((labels.array_zyx == 1).astype(np.uint8)), tmp_path / "one.nii.gz")
            out.write(tmp_path / "one.nii.gz", f"{name}.nii.gz")
    scan = upload(room.client, phantoms / "image_1.nii.gz")
    found = upload_labels(room.client, scan["id"], tmp_path / "masks.zip")
    assert len(found["organs"]) == 1
    assert any("no voxel of its own" in note for note in found["notes"])


def test_names_in_files_are_cleaned():
    assert distinct_names({1: printable("../../x<img src=x>\x00\n"), 2: "Right kidney", 3: "right_kidney"}) == {
        1: "x<img src=x>",
        2: "Right kidney",
        3: "right_kidney 2",
    }


def test_a_long_name_keeps_its_beginning_and_its_ending():
    shown = printable("subject_" + "x" * 300 + "_run-01_T2w.nii.gz")
    assert len(shown) == 120
    assert shown.startswith("subject_xxx")
    assert shown.endswith("xxx_run-01_T2w.nii.gz")


# ---- what can't be used ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("scan.nii.gz", b"", "empty"),
        ("scan.nii.gz", b"not a scan", "the scan is not a NIfTI image"),
        ("scan.nii", bytes(348), "NIfTI"),
        ("scan.jpg", b"x", "unknown format"),
        ("scan", b"x", "unknown format"),
        ("../../../etc/passwd", b"x", "unknown format"),
        ("a\x00b.nii", b"x" * 400, "nii"),
        ("x" * 900 + ".nii.gz", b"x", "nii"),
        ("slices.zip", b"PK\x03\x04", "zip"),
        ("scan.nrrd", b"NRRD0004\ndata file: /etc/passwd\n\n", "another file"),
        (
            "scan.mha",
            b"ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = a.raw\n",
            "the scan keeps its voxels in a.raw",
        ),
    ],
)
def test_a_bad_upload_is_one_line_and_leaves_nothing(room, name, content, told):
    before = sorted(path.name for path in (room.root / "scans").iterdir())
    answer = room.client.post("/scans", params={"name": name}, content=content)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert told in detail
    assert "\n" not in detail
    assert str(room.root) not in detail
    assert "Traceback" not in detail
    assert sorted(path.name for path in (room.root / "scans").iterdir()) == before
    assert list((room.root / "incoming").iterdir()) == []


def test_labels_of_another_grid_are_refused(room, phantoms, tmp_path):
    moved = read_labels(phantoms / "label_1.nii.gz")
    elsewhere = type(moved)(moved.array_zyx, moved.spacing_mm, (500.0, 0.0, 0.0), moved.direction)
    write_volume(elsewhere, tmp_path / "moved.nii.gz")
    answer = room.client.post(
        f"/scans/{room.support['id']}/labels",
        params={"name": "m.nii.gz"},
        content=(tmp_path / "moved.nii.gz").read_bytes(),
    )
    assert answer.status_code == 422
    assert "mm" in answer.json()["detail"]


def test_label_values_that_the_page_can_not_show_are_refused(room, phantoms, tmp_path):
    labels = read_labels(phantoms / "label_1.nii.gz")
    write_volume(labels.with_array((labels.array_zyx == 1).astype(np.int32) * 90000), tmp_path / "large.nii.gz")
    answer = room.client.post(
        f"/scans/{room.support['id']}/labels",
        params={"name": "l.nii.gz"},
        content=(tmp_path / "large.nii.gz").read_bytes(),
    )
    assert answer.status_code == 422
    assert "90000 is above 65535" in answer.json()["detail"]


def test_voxels_of_no_size_are_refused(room, tmp_path):
    odd = Volume(np.arange(8.0, dtype=np.float32).reshape(2, 2, 2), (1.0, 1.0, 1e5))
    write_volume(odd, tmp_path / "odd.nii.gz")
    answer = room.client.post("/scans", params={"name": "o.nii.gz"}, content=(tmp_path / "odd.nii.gz").read_bytes())
    assert answer.status_code == 422
    assert "1 x 1 x 100000 mm" in answer.json()["detail"]


def test_a_reference_that_was_learnt_from_is_refused(room, done):
    answer = room.client.post(
        "/jobs",
        json={
            "supports": [room.labels["id"], done["reference"]],
            "query": room.query["id"],
            "reference": done["reference"],
        },
    )
    assert answer.status_code == 422
    assert "among the labelled scans" in answer.json()["detail"]


def test_empty_labels_are_refused(room, phantoms, tmp_path):
    labels = read_labels(phantoms / "label_1.nii.gz")
    write_volume(labels.with_array(np.zeros_like(labels.array_zyx)), tmp_path / "empty.nii.gz")
    answer = room.client.post(
        f"/scans/{room.support['id']}/labels",
        params={"name": "e.nii.gz"},
        content=(tmp_path / "empty.nii.gz").read_bytes(),
    )
    assert answer.status_code == 422
    assert "empty" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"supports": [], "query": "QUERY"}, 422),
        ({"supports": ["LABELS"], "query": "0" * 16}, 404),
        ({"supports": ["0" * 16], "query": "QUERY"}, 404),
        ({"supports": ["LABELS"], "query": "SUPPORT"}, 422),
        ({"supports": ["LABELS"], "query": "QUERY", "reference": "LABELS"}, 422),
        ({"supports": ["LABELS", "0000000000000000"], "query": "QUERY"}, 404),
        ({"supports": ["LABELS"], "query": "QUERY", "organs": [0]}, 422),
        ({"supports": ["LABELS"], "query": "QUERY", "organs": []}, 422),
        ({"supports": ["LABELS"], "query": "../../etc"}, 422),
        ({"supports": ["LABELS"], "query": "QUERY", "weights": "/etc/passwd"}, 422),
        ("no object", 422),
    ],
)
def test_a_job_that_can_not_be_done_is_refused(room, body, status):
    known = {"LABELS": room.labels["id"], "QUERY": room.query["id"], "SUPPORT": room.support["id"]}
    text = json.dumps(body)
    for word, own in known.items():
        text = text.replace(word, own)
    answer = room.client.post("/jobs", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)


# ---- bounds ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, tiny_weights):
    with listening(tmp_path / "data", str(tiny_weights), Limits(upload_bytes=50_000, scans=2, label_sets=1)) as client:
        yield client


def test_a_file_that_is_too_large_is_refused_said_or_not(small):
    assert small.post("/scans", params={"name": "a.nii"}, content=bytes(50_001)).status_code == 413

    def dribbled():
        for _ in range(51):
            yield bytes(1000)

    answer = small.post("/scans", params={"name": "a.nii"}, content=dribbled())  # chunked: no length is said
    assert answer.status_code == 413
    assert "have the server started with a higher limit" in answer.json()["detail"]


def test_only_so_many_scans_and_label_sets(small, phantoms, tmp_path):
    image = read_volume(phantoms / "image_1.nii.gz")
    labels = read_labels(phantoms / "label_1.nii.gz")
    thin = tmp_path / "thin.nii.gz"
    write_volume(type(image)(image.array_zyx[:2].astype(np.uint8), image.spacing_mm), thin)
    first = upload(small, thin)
    upload(small, thin)
    answer = small.post("/scans", params={"name": "c.nii.gz"}, content=thin.read_bytes())
    assert answer.status_code == 429
    write_volume(type(labels)((labels.array_zyx[4:6] > 0).astype(np.uint8), labels.spacing_mm), thin)
    upload_labels(small, first["id"], thin)
    answer = small.post(f"/scans/{first['id']}/labels", params={"name": "c.nii.gz"}, content=thin.read_bytes())
    assert answer.status_code == 429
    assert small.delete(f"/scans/{first['id']}").status_code == 204
    assert len(small.get("/scans").json()) == 1


@pytest.mark.parametrize("suffix", [".nii.gz", ".2.nii.gz", ".nrrd", ".mha"])
def test_the_limit_on_what_a_file_unpacks_to_holds_for_every_format(tmp_path, suffix):
    """64 slices of one colour in a file of a few KiB."""
    source = tmp_path / f"source{suffix}"
    blank = sitk.Image([256, 256, 64], sitk.sitkInt16)  # 8 MiB
    if suffix == ".2.nii.gz":
        nibabel.Nifti2Image(np.zeros((256, 256, 64), np.int16), np.eye(4)).to_filename(source)
    else:
        sitk.WriteImage(blank, str(source), useCompression=True)
    assert source.stat().st_size < 100_000
    require_decodable(source, Limits(decoded_bytes=8 << 20))
    with pytest.raises(TooLarge, match="unpacks to more than 7 MiB"):
        require_decodable(source, Limits(decoded_bytes=(8 << 20) - 1))
    shutil.copy(source, tmp_path / f"again{suffix}")
    with pytest.raises(TooLarge, match="unpacks to more than 15 MiB"):  # as masks of a zip: all of them together
        require_decodable(tmp_path, Limits(decoded_bytes=(16 << 20) - 1))


def test_a_scan_that_unpacks_to_too_much_is_refused(tmp_path, tiny_weights, phantoms):
    with listening(tmp_path / "data", str(tiny_weights), Limits(decoded_bytes=100_000)) as client:
        content = (phantoms / "image_1.nii.gz").read_bytes()
        answer = client.post("/scans", params={"name": "a.nii.gz"}, content=content)
        assert answer.status_code == 413
        assert "unpacks to more than" in answer.json()["detail"]
        assert list((tmp_path / "data" / "scans").iterdir()) == []


def test_a_gzip_bomb_ends_in_a_line(room):
    header = bytearray(352)
    header[0:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, 1500, 1500, 1500, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([2, 8], "<i2").tobytes()
    header[76:108] = np.array([1, 1, 1, 1, 1, 1, 1, 1], "<f4").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    header[344:348] = b"n+1\x00"
    bomb = gzip.compress(bytes(header) + bytes(20_000_000))
    assert len(bomb) < 30_000
    answer = room.client.post("/scans", params={"name": "bomb.nii.gz"}, content=bomb)
    assert answer.status_code == 422
    assert "truncated" in answer.json()["detail"]
    assert room.client.get("/health").json()["status"] == "ok"


def test_what_a_job_needs_is_not_deleted_under_it(room, phantoms):
    scan = upload(room.client, phantoms / "image_4.nii.gz")
    job = ask(room, query=scan["id"])
    answers = {
        room.client.delete(f"/scans/{scan['id']}").status_code,
        room.client.delete(f"/labels/{room.labels['id']}").status_code,
    }
    state = finished(room.client, job["id"])["state"]
    assert state == "done"
    assert answers <= {409}
    assert room.client.delete(f"/scans/{scan['id']}").status_code == 204
    assert room.client.get(f"/scans/{scan['id']}").status_code == 404


def test_samples_are_there_once(tmp_path, tiny_weights):
    with listening(tmp_path / "data", str(tiny_weights)) as client:
        first, again = client.post("/samples").json(), client.post("/samples").json()
        assert [scan["name"] for scan in first] == ["patient 1", "patient 2", "patient 3"]
        assert first == again
        assert all(scan["sample"] and len(scan["labels"]) == 1 for scan in first)
        assert first[0]["labels"][0]["organs"][0]["name"] == "liver"
        assert len(client.get("/scans").json()) == 3
        client.delete(f"/scans/{first[0]['id']}")
        third = client.post("/samples").json()
        assert [scan["name"] for scan in third] == ["patient 1", "patient 2", "patient 3"]
        assert third[1:] == first[1:]
