import dataclasses
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.dicom_files import write_series
from psmnet.catalog import DATASETS
from psmnet.cli import demo
from psmnet.cli.main import COMMANDS
from psmnet.config import PRESETS, TrainConfig
from psmnet.io import read_labels, read_volume, write_volume
from psmnet.models.registry import METHODS
from psmnet.system.files import read_json
from psmnet.system.locks import LOCK_NAME, locked
from psmnet.training import log as training_log

HEAVY = {"torch", "numpy", "SimpleITK", "scipy", "skimage"}


def modules_after(code: str) -> set[str]:
    """Packages that a fresh Python has in memory after a piece of code; its own output is dropped."""
    code = (
        f"import contextlib, io, sys\nwith contextlib.redirect_stdout(io.StringIO()):\n    {code}\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.fixture
def tiny_preset(monkeypatch):
    """`compact` with the tests' network and three steps."""
    from helpers.tiny import TINY

    recipe = TrainConfig(steps=3, pairs=2, targets=2, warmup=1, checkpoint_every=2)
    monkeypatch.setitem(PRESETS, "compact", dataclasses.replace(PRESETS["compact"], model=TINY, train=recipe))
    monkeypatch.setattr(training_log, "_tensorboard", lambda run: None)  # seconds of import, and tested elsewhere


@pytest.fixture
def data(phantoms: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantoms, tmp_path / "data"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def segment(tmp_path: Path, data: Path, weights: Path, *more: object) -> list[object]:
    support = ("--support", data / "image_1.nii.gz", data / "label_1.nii.gz")
    return ["segment", *more, *support, "--out", tmp_path / "masks", "--weights", weights, "--device", "cpu"]


# ---- quick commands --------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy():
    loaded = modules_after('import psmnet.cli.main as m; m.main(["--help"])')
    assert "rich_click" in loaded
    assert not loaded & HEAVY


def test_help_answers_within_half_a_second():
    """The best of three, because other work may share the machine; twice the promise, because it may be slow."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import psmnet.cli.main as m; m.main(['-h'])"], capture_output=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1.0


def test_help_lists_every_command(cli):
    outcome = cli("--help")
    assert (outcome.code, outcome.err) == (0, "")
    for name in COMMANDS:
        assert name in outcome.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(cli, name):
    outcome = cli(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"psmnet {name}" in outcome.out


def test_version(cli):
    outcome = cli("--version")
    assert (outcome.code, outcome.err) == (0, "")
    assert "0.1.0" in outcome.out


def test_info_needs_no_torch():
    for option in ("", '"--json"'):
        assert "torch" not in modules_after(f'import psmnet.cli.main as m; m.main(["info", {option}])')


def test_info_for_programs(cli):
    outcome = cli("info", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    facts = json.loads(outcome.out)
    assert set(facts["datasets"]) == {"chaos-t2", "sabs", "cmr", "pelvic", "phantom", "folder"}
    assert set(facts["presets"]) == {"compact", "paper"}
    assert set(facts["methods"]) == set(METHODS)
    assert facts["methods"]["panet"]["citation"] == "Wang et al., ICCV 2019"
    assert "ep1" in facts["protocols"]
    assert {"python", "psmnet", "torch", "numpy"} <= set(facts["versions"])
    assert "device" not in facts


def test_info_for_people(cli):
    outcome = cli("info", "--device")
    assert outcome.code == 0
    for name in DATASETS:
        assert name in outcome.out
    assert "device: c" in outcome.out  # cpu or cuda


# ---- from data to masks ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny_preset")
def test_from_pseudo_labels_to_masks(cli, data, tmp_path):
    pseudolabels, run, results = tmp_path / "superpixels", tmp_path / "run", tmp_path / "results" / "r.json"
    before = contents(data)

    outcome = cli("pseudolabel", data, "--dataset", "phantom", "--out", pseudolabels)
    assert (outcome.code, outcome.err) == (0, "")
    assert "superpixels of 6 cases (6 made now)" in outcome.out
    assert sorted(path.name for path in pseudolabels.iterdir()) == [
        "pseudolabels.json",
        *(f"superpix-MIDDLE_{n}.nii.gz" for n in range(1, 7)),
    ]
    assert "(0 made now)" in cli("pseudolabel", data, "--dataset", "phantom", "--out", pseudolabels).out

    train = ("train", data, "--dataset", "phantom", "--fold", 0, "--setting", 1, "--preset", "compact", "--out", run)
    outcome = cli(*train, "--pseudolabels", pseudolabels, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "reading 4 training cases: 3, 4, 5, 6; kept out: 1 (test), 2 (support)",
        "training 3 steps of 2 image pairs",
        f"weights: {run / 'weights.safetensors'}",
    ]
    assert not (run / "pseudolabels").exists()
    assert not (run / LOCK_NAME).exists()
    assert len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 3

    outcome = cli(*train)
    assert outcome.code == 2
    assert "already holds a run; add --resume" in outcome.err

    evaluate = ("evaluate", data, "--dataset", "phantom", "--fold", 0, "--setting", 1, "--protocol", "ep1")
    outcome = cli(*evaluate, "--weights", run, "--out", results, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert "EP1 knows where each organ begins and ends" in outcome.out
    record = read_json(results)
    assert set(record["summary"]["by_label"]) == {"liver", "right_kidney", "left_kidney", "spleen", "aorta"}
    assert record["provenance"]["queries"] == ["1"]
    assert record["provenance"]["supports"] == ["2"]
    assert list(record["provenance"]["trained_on"]["cases"]) == ["3", "4", "5", "6"]

    outcome = cli(*evaluate[:4], "--fold", 2, "--weights", run, "--out", tmp_path / "other.json")
    assert outcome.code == 2
    assert "the weights were trained on case 3, 4" in outcome.err

    outcome = cli(*segment(tmp_path, data, run, data))
    assert (outcome.code, outcome.err) == (0, "")
    masks = tmp_path / "masks"
    for number in range(2, 7):
        image, mask = read_volume(data / f"image_{number}.nii.gz"), read_labels(masks / f"image_{number}_seg.nii.gz")
        assert np.allclose(mask.affine, image.affine)
        assert mask.array_zyx.shape == image.array_zyx.shape
        assert set(np.unique(mask.array_zyx)) <= set(range(6))
        assert (masks / f"image_{number}_overlay.png").read_bytes().startswith(b"\x89PNG")
    assert contents(data) == before


@pytest.mark.usefixtures("tiny_preset")
def test_missing_pseudo_labels_are_made_in_the_run(cli, data, tmp_path):
    """Training never writes into DATA, whether it could or not."""
    before = contents(data)
    outcome = cli("train", data, "--dataset", "phantom", "--out", tmp_path / "run", "--steps", 1, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert contents(data) == before
    made = {path.name for path in (tmp_path / "run" / "pseudolabels").iterdir()}
    assert made == {"pseudolabels.json", *(f"superpix-MIDDLE_{n}.nii.gz" for n in range(1, 7))}  # no fold: all cases


@pytest.mark.usefixtures("tiny_preset")
def test_setting_2_needs_labels_and_setting_1_does_not(cli, data, tmp_path):
    for path in data.glob("label_*"):
        path.unlink()
    options = ("--dataset", "phantom", "--fold", 0, "--steps", 1, "--device", "cpu")
    assert cli("train", data, *options, "--out", tmp_path / "one").code == 0
    pseudolabels = ("--pseudolabels", tmp_path / "one" / "pseudolabels")
    outcome = cli("train", data, *options, *pseudolabels, "--setting", 2, "--group", "upper", "--out", tmp_path / "two")
    assert outcome.code == 2
    assert "case 3 has no label map" in outcome.err
    assert not (tmp_path / "two").exists()


@pytest.mark.usefixtures("tiny_preset")
def test_a_run_is_resumed_with_the_same_options_alone(cli, data, tmp_path):
    train = ("train", data, "--dataset", "phantom", "--out", tmp_path / "run", "--steps", 1, "--device", "cpu")
    assert cli(*train).code == 0
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert cli(*train, "--resume").code == 0
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    outcome = cli(*train, "--resume", "--seed", 7)
    assert outcome.code == 2
    assert "was begun with seed 0, not 7; resume with the same options" in outcome.err


@pytest.mark.usefixtures("tiny_preset")
def test_pretrain_needs_no_data(cli, tmp_path):
    outcome = cli("pretrain", "--out", tmp_path / "run", "--steps", 1, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_phantoms_are_a_data_set(cli, tmp_path):
    outcome = cli("phantom", tmp_path / "patients", "--cases", 1, "--seed", 5)
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "patients").iterdir()) == ["image_1.nii.gz", "label_1.nii.gz"]
    labels = read_labels(tmp_path / "patients" / "label_1.nii.gz").array_zyx
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 5}
    before = contents(tmp_path)
    assert cli("phantom", tmp_path / "patients", "--cases", 1, "--seed", 6, "--overwrite").code == 0
    assert contents(tmp_path).keys() == before.keys()
    assert contents(tmp_path) != before


@pytest.mark.parametrize("name", ["image_1.nii.gz", "label_1.nii.gz", "image_2.nii.gz", "label_2.nii.gz"])
def test_patients_are_not_replaced(cli, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    outcome = cli("phantom", tmp_path, "--cases", 2)
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert f"{tmp_path / name} already exists; add --overwrite" in outcome.err
    assert contents(tmp_path) == {name: b"mine"}


# ---- segment ---------------------------------------------------------------------------------------------------


def test_report_of_segment(cli, data, tmp_path, tiny_weights):
    image = read_volume(data / "image_2.nii.gz")
    array = image.array_zyx.copy()
    array[0, 0, :3] = np.nan
    write_volume(image.with_array(array), data / "image_2.nii.gz")
    (data / "image_3.nii.gz").write_bytes(b"")
    outcome = cli(*segment(tmp_path, data, tiny_weights, data, "--labels", "1,4"))
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


def test_segment_ends_with_what_to_look_at_first(cli, data, tmp_path, tiny_weights):
    outcome = cli(*segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz", data / "image_3.nii.gz"))
    assert (outcome.code, outcome.err) == (0, "")
    report = read_json(tmp_path / "masks" / "report.json")
    worst = min(report["queries"], key=lambda entry: entry["confidence"])
    masks, overlays, last = outcome.out.splitlines()[-3:]
    assert masks == f"masks: 2 in {tmp_path / 'masks'} (<name>_seg.nii.gz)"
    folder = tmp_path / "masks"
    assert overlays == f"table and pictures: {folder / 'summary.csv'}, {folder / 'contact_sheet.html'}"
    assert last.startswith(f"look first at: {tmp_path / 'masks' / worst['overlay']} (")


def test_segment_with_several_supports(cli, data, tmp_path, tiny_weights):
    second = ("--support", data / "image_4.nii.gz", data / "label_4.nii.gz")
    outcome = cli(*segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz", *second))
    assert (outcome.code, outcome.err) == (0, "")
    assert len(read_json(tmp_path / "masks" / "report.json")["supports"]) == 2


def test_segment_goes_on_where_it_was_broken_off(cli, data, tmp_path, tiny_weights):
    first = cli(*segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz"))
    assert (first.code, first.err) == (0, "")
    before = contents(tmp_path / "masks")
    (tmp_path / "masks" / ".tmp-half.nii.gz").write_bytes(b"of a run that was killed")
    both = segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz", data / "image_3.nii.gz")
    outcome = cli(*both)
    assert (outcome.code, outcome.err) == (0, "")
    assert "kept: 1 of 2, done before with the same inputs and settings" in outcome.out
    after = contents(tmp_path / "masks")
    own = {f"image_{n}_{end}" for n in (2, 3) for end in ("seg.nii.gz", "seg.json", "overlay.png")}
    assert set(after) == own | {"report.json", "summary.csv", "contact_sheet.html"}
    assert {name: after[name] for name in before if name.startswith("image_2")} == {
        name: content for name, content in before.items() if name.startswith("image_2")
    }
    report = read_json(tmp_path / "masks" / "report.json")
    assert [entry["query"] for entry in report["queries"]] == ["image_2.nii.gz", "image_3.nii.gz"]
    other = cli(*both, "--labels", "1")
    assert other.code == 2
    assert "image_2_seg.nii.gz already exists, from another scan or other settings; choose another --out" in other.err
    assert contents(tmp_path / "masks") == after
    assert cli(*both, "--labels", "1", "--overwrite").code == 0


def test_segment_tells_no_name_if_asked(cli, data, tmp_path, tiny_weights):
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
    arguments = segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz", "--cluster", "tcp://10.0.0.1:8786")
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
            segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz"),
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


def test_a_dead_owners_lock_is_taken_over(cli, data, tmp_path, tiny_weights):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with locked(tmp_path / "masks"):
        _, host, *_ = (tmp_path / "masks" / LOCK_NAME).read_text().splitlines()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / LOCK_NAME).write_text(f"{gone.pid}\n{host}\n", encoding="utf-8")
    outcome = cli(*segment(tmp_path, data, tiny_weights, data / "image_2.nii.gz"))
    assert (outcome.code, outcome.err) == (0, "")
    assert not (tmp_path / "masks" / LOCK_NAME).exists()


# ---- demo ------------------------------------------------------------------------------------------------------


def test_demo(cli, tmp_path, monkeypatch):
    """With two patients, one of them labelled, and the bundled weights."""
    monkeypatch.setattr(demo, "PATIENTS", 2)
    out = tmp_path / "demo é"
    out.mkdir()
    (out / LOCK_NAME).write_bytes(b"")  # of a demo that was killed at its very beginning
    os.utime(out / LOCK_NAME, (0, 0))
    outcome = cli("demo", "--out", out)
    assert (outcome.code, outcome.err) == (0, "")
    assert "mean Dice 0." in outcome.out
    assert sorted(path.name for path in out.iterdir()) == [
        "image_2_overlay.png",
        "image_2_seg.nii.gz",
        "index.html",
        "patients",
    ]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "data:image/png;base64," in page
    assert cli("demo", "--out", out).code == 0  # again, over the same folder


@pytest.mark.parametrize(
    ("stray", "message"),
    [("out/notes.txt", "holds other files; choose another --out folder"), ("out", "is a file; give a folder")],
)
def test_a_demo_leaves_other_folders_alone(cli, tmp_path, stray, message):
    (tmp_path / stray).parent.mkdir(exist_ok=True)
    (tmp_path / stray).write_bytes(b"mine")
    outcome = cli("demo", "--out", tmp_path / "out")
    assert (outcome.code, outcome.err) == (2, f"psmnet: {tmp_path / 'out'} {message}\n")
    assert contents(tmp_path) == {stray: b"mine"}
