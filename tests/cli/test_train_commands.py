"""From a prepared folder through pseudo-labels, training and evaluation to masks; synthetic patients."""

import numpy as np
import pytest

from helpers.commands import contents, segment
from psmnet.io import read_labels, read_volume
from psmnet.system.files import read_json
from psmnet.system.locks import LOCK_NAME

pytestmark = pytest.mark.usefixtures("one_process")


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

    outcome = cli(*segment(tmp_path / "masks", data, run, data / "image_2.nii.gz", data / "image_3.nii.gz"))
    assert (outcome.code, outcome.err) == (0, "")
    masks = tmp_path / "masks"
    for number in (2, 3):
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
def test_a_run_is_resumed_with_the_same_options_only(cli, data, tmp_path):
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
