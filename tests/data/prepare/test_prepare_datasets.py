"""The field's data sets: from raw downloads as they unpack to one training step and one evaluation."""

import dataclasses
import zipfile

import numpy as np
import pytest
import torch

from helpers.prepare_helpers import contents, image, labels, run, sha256
from helpers.raw_layouts import PELVIC_PIDS, chaos_t2, cmr, middles, pelvic, sabs, zipped
from psmnet.catalog import DATASETS, INSTITUTIONS
from psmnet.config import PRESETS, AugmentConfig, ModelConfig, Preset, TrainConfig
from psmnet.data.dataset_file import DATASET_NAME, read_dataset_file
from psmnet.data.store import find_cases
from psmnet.errors import InputError
from psmnet.evaluation.evaluator import evaluate
from psmnet.io import write_volume
from psmnet.models.weights import load_weights
from psmnet.runtime import package_version
from psmnet.system import parallel
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec
from psmnet.volume.geometry import axis_letters

FIELD = {"chaos-t2": chaos_t2, "sabs": sabs, "cmr": cmr, "pelvic": pelvic}
SMALL = {"size_xyz": (16, 16, 3)}
TINY = Preset(
    ModelConfig(channels=16, input_size=64),
    TrainConfig(steps=1, pairs=1, targets=2, checkpoint_every=1, augment=AugmentConfig(elastic_alpha_px=0)),
)


@pytest.fixture(scope="module")
def done(raw, tmp_path_factory):
    """Whole data sets, prepared when first asked for (read only)."""
    found = {}

    def of(name):
        if name not in found:
            out = tmp_path_factory.mktemp("prepared") / name
            found[name] = out, run(name, raw(name).folder, out)
        return found[name]

    return of


# ---- the field's data sets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIELD)
def test_every_case_is_there_with_its_labels_and_nothing_else(raw, done, name):
    out, result = done(name)
    ids = list(raw(name).drawn)
    assert result.made == ids
    assert result.kept == []
    assert result.failed == {}
    assert [case.id for case in find_cases(out)] == ids
    wanted = {f"{kind}_{case_id}.nii.gz" for kind in ("image", "label") for case_id in ids}
    assert {path.name for path in out.iterdir()} == {*wanted, DATASET_NAME}
    incomplete = name == "pelvic"  # 7 of 589
    assert [("the published folds need them all" in note) for note in result.notes] == [True] * incomplete


@pytest.mark.parametrize("name", FIELD)
def test_organs_stay_where_they_are_in_the_patient(raw, done, name):
    out, _ = done(name)
    for case_id, drawn in raw(name).drawn.items():
        found, stored = labels(out, case_id), drawn.labels
        before, after = middles(stored), middles(found)
        assert before.keys() == after.keys()
        for value in before:
            offset = found.direction.T @ (after[value] - before[value])
            assert (np.abs(offset) < np.array(found.spacing_mm)).all(), (case_id, value, offset)
        np.testing.assert_allclose(found.affine, image(out, case_id).affine, atol=1e-4)
    if name in ("chaos-t2", "sabs"):
        liver, spleen = (DATASETS[name].labels[organ] for organ in ("liver", "spleen"))
        assert after[liver][0] < after[spleen][0]  # on the patient's right: LPS counts to the left


@pytest.mark.parametrize("name", FIELD)
def test_axes(raw, done, name):
    out, result = done(name)
    for case_id, drawn in list(raw(name).drawn.items())[:6]:
        found, record = image(out, case_id), result.dataset.cases[case_id]
        assert record.raw_axes == axis_letters(drawn.image.direction) or name == "chaos-t2"
        assert record.axes == axis_letters(found.direction)
        if name == "cmr":
            np.testing.assert_allclose(found.direction, drawn.image.direction, atol=1e-6)
        else:
            assert record.axes == "LAS"
            assert found.affine[2, 2] > 0  # slice 0 is the lowest
    assert {record.raw_axes for record in result.dataset.cases.values()} != {"LAS"}


@pytest.mark.parametrize("name", FIELD)
def test_geometry_and_intensities_are_the_catalogs(raw, done, name):
    out, _ = done(name)
    facts = DATASETS[name]
    for case_id, drawn in list(raw(name).drawn.items())[:6]:
        found, stored = image(out, case_id), drawn.image
        assert found.size_xyz[:2] == (256, 256)
        assert found.array_zyx.dtype == np.float32
        if name == "sabs":
            cut = 64 - 2 * 4  # a border of 32 in 512 is one of 4 in 64
            assert found.spacing_mm == pytest.approx((5.5 * cut / 256, 5.5 * cut / 256, 6))
            assert found.size_xyz[2] == stored.size_xyz[2]
            assert (found.array_zyx.min(), found.array_zyx.max()) == (0, 255)
        else:
            assert found.spacing_mm == pytest.approx(facts.spacing_mm)
            assert found.size_xyz[2] == round(stored.size_xyz[2] * stored.spacing_mm[2] / facts.spacing_mm[2])
            highest = np.percentile(stored.array_zyx, 99.5)
            assert highest * 0.8 < found.array_zyx.max() < highest * 1.00001


@pytest.mark.parametrize("name", FIELD)
def test_dataset_json_tells_the_truth(raw, done, name):
    out, result = done(name)
    written = read_dataset_file(out)
    assert written == result.dataset
    facts, folder = DATASETS[name], raw(name).folder
    assert (written.dataset, written.version, written.modality) == (name, package_version(), facts.modality)
    assert written.legacy == ()
    assert written.labels == facts.labels
    constants = written.constants
    assert constants["spacing_mm"] == (None if facts.spacing_mm is None else list(facts.spacing_mm))
    assert constants["clip_percentile"] == facts.clip_percentile
    assert constants["window_hu"] == (None if facts.window_hu is None else list(facts.window_hu))
    assert (constants["size_px"], constants["border_px"]) == (256, facts.border_px)
    assert list(written.cases) == list(raw(name).drawn)
    for case_id, drawn in list(raw(name).drawn.items())[:6]:
        record = written.cases[case_id]
        assert len(record.sources) == (2 * len(drawn.image.array_zyx) if name == "chaos-t2" else 2)
        assert all(sha256(folder / source) == checksum for source, checksum in record.sources.items())
        assert record.image_sha256 == sha256(out / f"image_{case_id}.nii.gz")
        assert record.label_sha256 == sha256(out / f"label_{case_id}.nii.gz")
        found, counts = image(out, case_id), np.bincount(labels(out, case_id).array_zyx.ravel())
        assert record.voxels == {value: counts[value] for value in np.flatnonzero(counts) if value}
        assert record.size_xyz == found.size_xyz
        assert record.spacing_mm == pytest.approx(found.spacing_mm)
        assert record.raw_size_xyz == drawn.image.size_xyz
        assert record.raw_spacing_mm == pytest.approx(drawn.image.spacing_mm)
        values = found.array_zyx
        assert record.intensity.model_dump() == pytest.approx(
            {"minimum": values.min(), "maximum": values.max(), "mean": values.mean()}, rel=1e-4
        )
        assert record.notes == []


def test_institutions_are_told(done):
    _, result = done("pelvic")
    assert result.dataset.institutions() == dict(zip(PELVIC_PIDS, INSTITUTIONS.values(), strict=True))


def test_some_ct_lack_an_organ_and_the_others_keep_their_values(raw, done):
    out, _ = done("sabs")
    lacking = [case_id for case_id, drawn in raw("sabs").drawn.items() if not (drawn.labels.array_zyx == 4).any()]
    assert lacking
    for case_id in lacking:
        assert np.unique(labels(out, case_id).array_zyx).tolist() == [0, 1, 2, 3, 6, 8]


def test_missing_cases_are_noted(tmp_path):
    chaos_t2(tmp_path / "raw", ["1", "39"], **SMALL)
    (note,) = run("chaos-t2", tmp_path / "raw", tmp_path / "out").notes
    assert note.startswith("2 cases where CHAOS-T2: abdominal MRI, T2-SPIR has 20 (missing: 2, 3, 5, 8, 10,")


# ---- where the download lies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parents"),
    [
        ("chaos-t2", ("", "Train_Sets", "Train_Sets/MR")),
        ("sabs", ("", "RawData", "RawData/Training")),
        ("cmr", ("",)),
        ("pelvic", ("",)),
    ],
)
def test_any_parent_the_zip_and_a_folder_with_the_zip_give_the_same_bytes(tmp_path, name, parents):
    one = {"chaos-t2": ["1"], "sabs": [3], "cmr": [3], "pelvic": ["000003"]}[name]
    FIELD[name](tmp_path / "raw", one, **SMALL)
    (tmp_path / "zip").mkdir()
    archive = zipped(tmp_path / "raw", tmp_path / "zip" / "download.ZIP")
    zipfile.ZipFile(tmp_path / "zip" / "another.zip", "w").close()
    before = contents(tmp_path / "zip")
    found = []
    for number, root in enumerate([*(tmp_path / "raw" / parent for parent in parents), archive, archive.parent]):
        out = tmp_path / f"out{number}"
        result = run(name, root, out)
        assert result.failed == {}
        found.append({file: content for file, content in contents(out).items() if file != DATASET_NAME})
    assert len(found[0]) == 2
    assert all(other == found[0] for other in found)
    assert contents(tmp_path / "zip") == before
    # A zip's sources go by their names in it.
    assert (out / DATASET_NAME).read_text().count(str(tmp_path)) == 0


# ---- the field's faults -----------------------------------------------------------------------------------------


def both(name, raw, tmp_path, *faults):
    """Prepared our way and the field's."""
    outs = tmp_path / "ours", tmp_path / "theirs"
    for out, legacy in zip(outs, ((), faults), strict=True):
        assert run(name, raw, out, legacy=legacy).failed == {}
        assert read_dataset_file(out).legacy == legacy
        assert read_dataset_file(out).constants["faults"] == list(legacy)
    return outs


def test_extra_slice(tmp_path):
    drawn = chaos_t2(tmp_path / "raw", ["1"], size_xyz=(16, 16, 26), spacing_mm=(1.25, 1.25, 9.0))["1"]
    ours, theirs = both("chaos-t2", tmp_path / "raw", tmp_path, "extra-slice")
    assert image(ours, "1").size_xyz[2] == 30  # 26 * 9 / 7.7 = 30.39
    assert image(theirs, "1").size_xyz[2] == 31  # int(30.39 + 1)
    first = drawn.image.origin_mm[2]
    assert image(ours, "1").origin_mm[2] == pytest.approx(first + (25 * 9 - 29 * 7.7) / 2, abs=1e-3)
    assert image(theirs, "1").origin_mm[2] == pytest.approx(first, abs=1e-3)


def test_label_holes(tmp_path):
    cmr(tmp_path / "raw", [1])
    ours, theirs = both("cmr", tmp_path / "raw", tmp_path, "label-holes")
    whole, holed = labels(ours, "1").array_zyx, labels(theirs, "1").array_zyx
    lost = (whole > 0) & (holed == 0)
    assert lost.sum() > 100
    assert (holed[holed > 0] == whole[holed > 0]).all()
    # Between pool and myocardium, where there is no background: the pool's neighbours.
    pool = whole == 500
    inner = np.zeros_like(pool)
    inner[:, 1:-1, 1:-1] = pool[:, 1:-1, 1:-1] & ~(pool[:, :-2, 1:-1] & pool[:, 2:, 1:-1])
    assert (lost & inner).any()


def test_volume_rescale(tmp_path):
    drawn = sabs(tmp_path / "raw", [1], **SMALL)[1]
    soft = drawn.image.with_array(np.clip(drawn.image.array_zyx, -100, 100))
    write_volume(soft, tmp_path / "raw/RawData/Training/img/img0001.nii.gz")
    ours, theirs = both("sabs", tmp_path / "raw", tmp_path, "volume-rescale")
    # -100 and 100 are 25 and 225 above the window's lower end, of 400.
    values = image(ours, "0").array_zyx
    assert (values.min(), values.max()) == (25 * 255 / 400, 225 * 255 / 400)
    values = image(theirs, "0").array_zyx
    assert (values.min(), values.max()) == (0, 255)


def test_crop_origin(tmp_path):
    sabs(tmp_path / "raw", [1], size_xyz=(64, 64, 3))
    ours, theirs = both("sabs", tmp_path / "raw", tmp_path, "crop-origin")
    np.testing.assert_array_equal(image(ours, "0").array_zyx, image(theirs, "0").array_zyx)
    offset = np.array(image(ours, "0").origin_mm) - image(theirs, "0").origin_mm
    np.testing.assert_allclose(offset, (4 * 5.5, -4 * 5.5, 0), atol=1e-3)  # 4 pixels to the left and to the front


def test_all_faults_at_once_leave_257_pixels_of_which_the_first_256_are_read(tmp_path):
    sabs(tmp_path / "raw", [1], size_xyz=(64, 64, 3))
    legacy = ("crop-origin", "extra-slice", "label-holes", "volume-rescale")
    run("sabs", tmp_path / "raw", tmp_path / "out", legacy=tuple(reversed(legacy)))
    assert read_dataset_file(tmp_path / "out").legacy == legacy
    assert image(tmp_path / "out", "0").size_xyz == (257, 257, 4)
    assert find_cases(tmp_path / "out")[0].image().size_xyz == (256, 256, 4)


# ---- and on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size_xyz", "spacing_mm", "tested", "support"),
    [
        ("chaos-t2", (48, 46, 6), (1.6, 1.6, 9.0), ["1", "2", "3", "5"], "8"),
        ("sabs", (64, 64, 5), (1.5, 1.5, 6.0), ["0", "1", "2", "3", "4", "5"], "6"),
        ("cmr", (40, 38, 5), (2.0, 2.0, 9.0), ["1", "2", "3", "4", "5", "6", "7"], "8"),
        ("pelvic", (32, 32, 5), (1.5, 1.5, 3.0), ["000003"], "000017"),
    ],
)
def test_from_the_download_to_a_training_step_and_an_evaluation(
    tmp_path, monkeypatch, name, size_xyz, spacing_mm, tested, support
):
    """All cases, since the published folds need them; only slices are made small (64 pixels)."""
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], size_px=64))
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 1)
    drawn = FIELD[name](tmp_path / "raw", size_xyz=size_xyz, spacing_mm=spacing_mm)
    data = tmp_path / "data"
    assert run(name, tmp_path / "raw", data).failed == {}
    path = run_training(RunSpec(name, fold=0, preset="tiny"), tmp_path / "run", data=data, device=torch.device("cpu"))
    weights, cases = load_weights(path), find_cases(data)
    assert len(cases) == len(drawn)
    assert set(weights.trained_on.cases) == {case.id for case in cases} - {*tested, support}
    results = evaluate(weights, cases, dataset_name=name, fold=0)
    by_label = results["summary"]["by_label"]
    assert list(by_label) == list(DATASETS[name].tested)
    assert all(0 <= row["dice"] <= 1 for row in by_label.values())
    assert all(results["summary"]["n"][organ]["dice"] == len(tested) for organ in by_label)


def test_images_and_labels_in_two_zips_beside_a_damaged_one(tmp_path):
    """MS-CMRSeg comes as two archives; what else lies there needn't be whole."""
    cmr(tmp_path / "raw", (1, 2))
    (tmp_path / "zips").mkdir()
    for part in ("c0t2lge", "c0gt"):
        zipped(tmp_path / "raw" / part, tmp_path / "zips" / f"{part}.zip")
    (tmp_path / "zips" / "a-broken.zip").write_bytes(b"PK\x03\x04 not a zip")
    result = run("cmr", tmp_path / "zips", tmp_path / "out")
    assert sorted(result.made) == ["1", "2"]
    assert "c0gt.zip/patient1_C0_manual.nii.gz" in result.dataset.cases["1"].sources
    run("cmr", tmp_path / "raw", tmp_path / "plain")
    for name in ("image_1.nii.gz", "label_2.nii.gz"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    for part in ("c0t2lge", "c0gt"):
        (tmp_path / "zips" / f"{part}.zip").unlink()
    with pytest.raises(InputError, match=r"a-broken\.zip is truncated or damaged"):
        run("cmr", tmp_path / "zips", tmp_path / "other")
