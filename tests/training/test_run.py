import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import psmnet.training.run
from psmnet.catalog import DATASETS
from psmnet.config import PRESETS, AugmentConfig, ModelConfig, Preset, TrainConfig
from psmnet.data import splits
from psmnet.data.dataset_file import DatasetFile
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.rule import PseudolabelRule
from psmnet.data.pseudolabels.store import PseudolabelStore
from psmnet.data.store import Case, find_cases
from psmnet.errors import ConfigError, InputError
from psmnet.io import write_volume
from psmnet.models.build import changed
from psmnet.models.weights import WEIGHTS_NAME, load_weights
from psmnet.system.locks import LOCK_NAME, locked
from psmnet.training.episodes import SelfSupervisedEpisodes
from psmnet.training.run import run_training
from psmnet.training.run_folder import RUN_NAME
from psmnet.training.run_spec import RunSpec
from psmnet.volume.normalisation import Normalisation

CPU = torch.device("cpu")
CASES = 6  # five folds of one case, the last of two
PHANTOM = DATASETS["phantom"]
RULE = PseudolabelRule.of(PHANTOM)
TINY = Preset(
    ModelConfig(channels=16, input_size=64),
    TrainConfig(steps=2, pairs=1, targets=2, checkpoint_every=1, augment=AugmentConfig(elastic_alpha_px=0)),
)
SPEC = RunSpec("phantom", fold=0, preset="tiny")


@pytest.fixture(autouse=True)
def _tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    for number in range(1, CASES + 1):
        image, labels = draw_patient(number, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
        write_volume(image, folder / f"image_{number}.nii.gz")
        write_volume(labels, folder / f"label_{number}.nii.gz")
    PseudolabelStore(folder, RULE).write(find_cases(folder), jobs=1)
    return folder


def cases_of(data: Path) -> dict[str, Case]:
    return {case.id: case for case in find_cases(data)}


class CapturedError(Exception):  # stops a run before it trains
    def __init__(self, source: SelfSupervisedEpisodes) -> None:
        self.source = source


def source_of(monkeypatch: pytest.MonkeyPatch, spec: RunSpec, out: Path, data: Path) -> SelfSupervisedEpisodes:
    """What a run would train on."""

    def capture(model: object, source: SelfSupervisedEpisodes, *args: object, **options: object) -> None:
        raise CapturedError(source)

    with monkeypatch.context() as patch:
        patch.setattr(psmnet.training.run, "train", capture)
        with pytest.raises(CapturedError) as caught:
            run_training(spec, out, data=data, device=CPU)
    return caught.value.source


# ---- what is trained on ----------------------------------------------------------------------------------------


def test_a_run_writes_weights_that_say_what_they_saw(data: Path, tmp_path: Path):
    lines: list[str] = []
    told: list[int] = []
    path = run_training(
        SPEC, tmp_path / "run", data=data, device=CPU, say=lines.append, report=lambda step, _: told.append(step)
    )
    assert path == tmp_path / "run" / WEIGHTS_NAME
    assert told == [1, 2]
    assert lines == [
        "reading 4 training cases: 3, 4, 5, 6; kept out: 1 (test), 2 (support)",
        "training 2 steps of 1 image pairs",
    ]
    weights = load_weights(tmp_path / "run")
    assert weights.config == changed(TINY.model)
    record = weights.trained_on
    # Fold 0 of six cases tests the first; the next one supports.
    assert record.cases == {i: cases_of(data)[i].checksum() for i in ("3", "4", "5", "6")}
    assert (record.dataset, record.fold, record.setting, record.group) == ("phantom", 0, 1, None)
    assert (record.preset, record.steps, record.seed, record.init) == ("tiny", 2, 0, None)
    assert record.licence == "Apache-2.0"
    assert not (tmp_path / "run" / LOCK_NAME).exists()


@pytest.mark.parametrize("support_cases", [1, 2])
@pytest.mark.parametrize("fold", range(5))
def test_neither_support_nor_test_cases_are_trained_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fold: int, support_cases: int
):
    seen: list[str] = []
    read = Case.image

    def spy(case: Case) -> object:
        seen.append(case.id)
        return read(case)

    monkeypatch.setattr(Case, "image", spy)
    spec = dataclasses.replace(SPEC, fold=fold, support_cases=support_cases)
    source_of(monkeypatch, spec, tmp_path / "run", data)
    tested = ["5", "6"] if fold == 4 else [str(fold + 1)]
    following = [str(i) for i in range(1, CASES + 1)] * 2
    first = following.index(tested[-1]) + 1
    supporting = following[first : first + support_cases]
    assert not set(seen) & {*tested, *supporting}
    assert set(seen) == set(following) - {*tested, *supporting}


def test_the_record_names_the_same_cases(data: Path, tmp_path: Path):
    spec = dataclasses.replace(SPEC, fold=4, support_cases=2, steps=1)
    record = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU)).trained_on
    assert list(record.cases) == ["3", "4"]  # 5 and 6 are tested, 1 and 2 support
    assert record.steps == 1


def test_without_a_fold_all_cases_are_trained_on(data: Path, tmp_path: Path):
    spec = dataclasses.replace(SPEC, fold=None, steps=1)
    record = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU)).trained_on
    assert list(record.cases) == [str(i) for i in range(1, CASES + 1)]
    assert record.fold is None


@pytest.mark.parametrize("group", ["upper", "lower"])
def test_setting_2_drops_every_slice_with_a_class_of_the_group(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str
):
    spec = dataclasses.replace(SPEC, setting=2, group=group)
    taken = source_of(monkeypatch, spec, tmp_path / "run", data).bank.images
    values = [PHANTOM.labels[name] for name in PHANTOM.groups[group]]
    allowed, forbidden = [], []
    for case_id in ("3", "4", "5", "6"):
        case = cases_of(data)[case_id]
        images = Normalisation(TINY.normalisation).apply(case.image().array_zyx)
        for image, labels in zip(images, case.labels().array_zyx, strict=True):
            (forbidden if np.isin(labels, values).any() else allowed).append(torch.from_numpy(image))
    assert forbidden
    assert allowed

    def is_taken(image: torch.Tensor) -> bool:
        return bool((taken[:, 0] == image).flatten(1).all(dim=1).any())

    assert not any(is_taken(image) for image in forbidden)
    assert len(taken) <= len(allowed)  # less those without a superpixel
    assert sum(is_taken(image) for image in allowed) == len(taken)


def test_setting_1_takes_them_all(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = source_of(monkeypatch, SPEC, tmp_path / "one", data).bank
    two = source_of(monkeypatch, dataclasses.replace(SPEC, setting=2, group="upper"), tmp_path / "two", data).bank
    assert len(one.images) > len(two.images)


def test_allowed_slices_by_hand():
    labels = np.zeros((4, 2, 2), np.uint8)
    labels[1, 0, 0], labels[2, 1, 1], labels[3, 0, 1] = 2, 3, 5
    assert splits.allowed_slices(labels, (2, 3)).tolist() == [True, False, False, True]
    assert splits.allowed_slices(labels, ()).tolist() == [True] * 4


def test_synthetic_training_needs_no_data(tmp_path: Path):
    weights = load_weights(run_training(RunSpec("synthetic", preset="tiny"), tmp_path / "run", device=CPU))
    assert weights.trained_on.dataset == "synthetic"
    assert weights.trained_on.cases == {}
    assert weights.trained_on.setting is None
    assert weights.trained_on.licence == "none: synthetic images only"


def test_the_same_spec_gives_the_same_bytes_and_another_seed_others(tmp_path: Path):
    spec = RunSpec("synthetic", preset="tiny")
    first, second = (run_training(spec, tmp_path / name, device=CPU).read_bytes() for name in ("a", "b"))
    assert first == second
    other = load_weights(run_training(dataclasses.replace(spec, seed=1), tmp_path / "c", device=CPU))
    assert not torch.equal(next(other.model.parameters()), next(load_weights(tmp_path / "a").model.parameters()))


def test_training_can_begin_with_other_weights(tmp_path: Path):
    spec = RunSpec("synthetic", preset="tiny", steps=1)
    first = run_training(spec, tmp_path / "a", device=CPU)
    second = load_weights(run_training(dataclasses.replace(spec, init=str(first)), tmp_path / "b", device=CPU))
    assert second.trained_on.init == load_weights(first).sha256
    assert not torch.equal(next(second.model.parameters()), next(load_weights(first).model.parameters()))


def test_what_initial_weights_saw_counts_as_seen(data: Path, tmp_path: Path):
    everything = run_training(dataclasses.replace(SPEC, fold=None, steps=1), tmp_path / "all", data=data, device=CPU)
    spec = dataclasses.replace(SPEC, steps=1, init=str(everything))
    record = load_weights(run_training(spec, tmp_path / "fold", data=data, device=CPU)).trained_on
    checksums = {case_id: case.checksum() for case_id, case in cases_of(data).items()}
    assert record.cases == checksums  # the fold's test and support cases too
    assert record.licence == "Apache-2.0"
    synthetic = RunSpec("synthetic", preset="tiny", steps=1, init=str(everything))
    record = load_weights(run_training(synthetic, tmp_path / "synthetic", device=CPU)).trained_on
    assert record.cases == {f"phantom/{case_id}": checksum for case_id, checksum in checksums.items()}
    assert record.licence == "none: synthetic images only; Apache-2.0"


def test_weights_of_another_network_can_not_begin_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = run_training(RunSpec("synthetic", preset="tiny", steps=1), tmp_path / "a", device=CPU)
    wider = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, channels=24))
    monkeypatch.setitem(PRESETS, "wider", wider)
    spec = RunSpec("synthetic", preset="wider", init=str(first))
    with pytest.raises(ConfigError, match="another network"):
        run_training(spec, tmp_path / "b", device=CPU)


# ---- superpixels -----------------------------------------------------------------------------------------------


def test_missing_superpixels_are_made_in_the_run_and_the_data_is_left_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bare = tmp_path / "data"
    shutil.copytree(data, bare, ignore=shutil.ignore_patterns("superpix*", "*.json"))
    image = cases_of(bare)["3"].image()
    write_volume(
        image.with_array(np.ones((12, 64, 64), np.uint16)), PseudolabelStore(bare, RULE).path_of("3")
    )  # somebody else's
    before = {path.name: path.read_bytes() for path in bare.iterdir()}
    made = source_of(monkeypatch, SPEC, tmp_path / "run", bare)
    assert sorted(PseudolabelStore(tmp_path / "run" / "pseudolabels", RULE).listed()) == ["3", "4", "5", "6"]
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == before
    given = source_of(monkeypatch, SPEC, tmp_path / "other", data)
    assert torch.equal(made.bank.ids, given.bank.ids)
    assert not (tmp_path / "other" / "pseudolabels").exists()


def test_superpixels_may_lie_elsewhere(data: Path, tmp_path: Path):
    bare = tmp_path / "data"
    shutil.copytree(data, bare, ignore=shutil.ignore_patterns("superpix*", "*.json"))
    run_training(SPEC, tmp_path / "run", data=bare, pseudolabels=data, device=CPU)
    assert not (tmp_path / "run" / "pseudolabels").exists()


# ---- supervoxels, and faults of the field ------------------------------------------------------------------------


STILL = AugmentConfig(rotation_deg=0, shear_deg=0, shift_px=0, scale=(1, 1), elastic_alpha_px=0, gamma=(1, 1))


def copy_of(data: Path, folder: Path, *left_out: str) -> Path:
    return Path(shutil.copytree(data, folder, ignore=shutil.ignore_patterns(*left_out)))


def number_of(source: SelfSupervisedEpisodes, image: torch.Tensor) -> int:
    """Which slice of the bank this is, to within rounding."""
    away = (source.bank.images - image).abs().flatten(1).amax(dim=1)
    assert away.min() < 1e-3
    return int(away.argmin())


def paired(source: SelfSupervisedEpisodes) -> set[tuple[bool, int]]:
    """Of many support and query slices: whether they are of one scan, and how far apart."""
    source.augment = STILL
    found = set()
    for step in range(40):
        episode = source.batch(step)
        support = number_of(source, episode.support_images[0, 0])
        query = number_of(source, episode.query_images[0])
        scans, positions = source.bank.scans, source.bank.positions
        found.add((bool(scans[support] == scans[query]), abs(int(positions[support] - positions[query]))))
    return found


def test_supervoxels_are_trained_on_with_neighbours_as_queries(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spec = dataclasses.replace(SPEC, kind="supervoxels", steps=1)
    source = source_of(monkeypatch, spec, tmp_path / "captured", data)
    rule = PseudolabelRule.of(PHANTOM, "supervoxels")
    expected = [rule.make(cases_of(data)[case_id].image()) for case_id in ("3", "4", "5", "6")]
    for scan, ids in enumerate(expected):
        mine = source.bank.scans == scan
        kept = source.bank.positions[mine].numpy()
        np.testing.assert_array_equal(source.bank.ids[mine].numpy(), ids[kept])
    assert paired(source) == {(True, 0), (True, 1)}
    assert paired(source_of(monkeypatch, SPEC, tmp_path / "superpixels", data)) == {(True, 0)}

    path = run_training(
        spec, tmp_path / "run", data=data, pseudolabels=tmp_path / "captured" / "pseudolabels", device=CPU
    )
    record = load_weights(path).trained_on
    assert (record.pseudolabels, record.legacy) == ("supervoxels", [])
    assert not (tmp_path / "run" / "pseudolabels").exists()


def test_training_on_superpixels_and_on_synthetic_images_says_so(data: Path, tmp_path: Path):
    spec = dataclasses.replace(SPEC, steps=1)
    assert load_weights(run_training(spec, tmp_path / "a", data=data, device=CPU)).trained_on.pseudolabels == (
        "superpixels"
    )
    spec = RunSpec("synthetic", preset="tiny", steps=1)
    assert load_weights(run_training(spec, tmp_path / "b", device=CPU)).trained_on.pseudolabels is None


def halves(shape: tuple[int, int, int]) -> np.ndarray:
    """As foreign software might draw them: 1 on the left, 3 on the right; no 2."""
    ids = np.ones(shape, np.uint16)
    ids[:, :, shape[2] // 2 :] = 3
    return ids


def test_the_fields_own_superpixels_are_used_where_their_fault_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bare = copy_of(data, tmp_path / "data", "superpix*", "*.json")
    image = cases_of(bare)["3"].image()
    write_volume(image.with_array(halves((12, 64, 64))), PseudolabelStore(bare, RULE).path_of("3"))
    spec = dataclasses.replace(SPEC, legacy=("superpixel-ids",), steps=1)
    source = source_of(monkeypatch, spec, tmp_path / "captured", bare)

    theirs = source.bank.scans == 0
    np.testing.assert_array_equal(source.bank.ids[theirs].numpy(), halves((12, 64, 64)))
    faulty = dataclasses.replace(RULE, faulty_ids=True)
    assert sorted(PseudolabelStore(tmp_path / "captured" / "pseudolabels", faulty).listed()) == ["4", "5", "6"]
    for scan, case_id in enumerate(("4", "5", "6"), start=1):
        mine = source.bank.scans == scan
        expected = faulty.make(cases_of(bare)[case_id].image())
        np.testing.assert_array_equal(source.bank.ids[mine].numpy(), expected[source.bank.positions[mine].numpy()])

    # Of a slice's targets the last is never drawn: of case 3 the left halves alone.
    source.augment, source.targets = STILL, 100
    for step in range(40):
        episode = source.batch(step)
        number = number_of(source, episode.query_images[0])
        ids = source.bank.ids[number]
        drawn = {int(ids[mask > 0].unique()) for mask in episode.query_masks[0] if mask.any()}
        assert drawn
        assert int(ids.max()) not in drawn
        if source.bank.scans[number] == 0:
            assert drawn == {1}

    path = run_training(
        spec, tmp_path / "run", data=bare, pseudolabels=tmp_path / "captured" / "pseudolabels", device=CPU
    )
    assert load_weights(path).trained_on.legacy == ["superpixel-ids"]


def test_superpixels_of_another_size_are_refused(data: Path, tmp_path: Path):
    bare = copy_of(data, tmp_path / "data", "superpix*", "*.json")
    image, _ = draw_patient(3, shape_zyx=(12, 64, 72), spacing_mm=(5, 5, 16))
    write_volume(image.with_array(halves((12, 64, 72))), PseudolabelStore(bare, RULE).path_of("3"))
    spec = dataclasses.replace(SPEC, legacy=("superpixel-ids",))
    with pytest.raises(InputError, match=r"superpixels of case 3 have shape \(12, 64, 72\), its image \(12, 64, 64\);"):
        run_training(spec, tmp_path / "run", data=bare, device=CPU)


LIVER, KIDNEY, SPLEEN, AORTA = (PHANTOM.labels[name] for name in ("liver", "right_kidney", "spleen", "aorta"))


@pytest.fixture
def labelled_by_hand(data: Path, tmp_path: Path) -> Path:
    """Every case with these voxels: the field's index counts slices whose values add up to 100."""
    assert (LIVER, SPLEEN, AORTA) == (1, 4, 5)
    labels = np.zeros((12, 64, 64), np.uint8)
    for number, voxels in {
        2: {LIVER: 99},  # 99
        3: {LIVER: 100},
        4: {SPLEEN: 24},  # 96
        5: {SPLEEN: 25},  # 100
        6: {LIVER: 1, AORTA: 20},  # 101: what lies beside it counts
        7: {LIVER: 2, SPLEEN: 2},  # 10
        8: {LIVER: 40, SPLEEN: 20},  # 120
        9: {AORTA: 400, KIDNEY: 10},  # of no test class of this group
    }.items():
        first = 0
        for value, count in voxels.items():
            labels[number].flat[first : first + count] = value
            first += count
    folder = copy_of(data, tmp_path / "by_hand", "label_*")
    for case in find_cases(folder):
        write_volume(case.image().with_array(labels), folder / f"label_{case.id}.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("setting2", "legacy", "dropped"),
    [
        ("any", (), {2, 3, 4, 5, 6, 7, 8}),
        ("any", ("class-slices",), {3, 5, 6, 8}),
        ("all", (), {7, 8}),
        ("all", ("class-slices",), {8}),
    ],
)
def test_which_slices_setting_2_drops(
    labelled_by_hand: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting2: str,
    legacy: tuple[str, ...],
    dropped: set[int],
):
    whole = source_of(monkeypatch, SPEC, tmp_path / "one", labelled_by_hand).bank
    spec = dataclasses.replace(SPEC, setting=2, group="upper", setting2=setting2, legacy=legacy)
    bank = source_of(monkeypatch, spec, tmp_path / "two", labelled_by_hand).bank
    for scan in range(4):
        before, after = (set(b.positions[b.scans == scan].tolist()) for b in (whole, bank))
        assert before >= set(range(2, 10))  # none of them lacks a superpixel
        assert after == before - dropped


def test_setting_2s_rule_and_its_fault_are_recorded_and_told(labelled_by_hand: Path, tmp_path: Path):
    spec = dataclasses.replace(
        SPEC, setting=2, group="upper", setting2="all", legacy=("class-slices",), steps=1, fold=None
    )
    lines: list[str] = []
    record = load_weights(
        run_training(spec, tmp_path / "run", data=labelled_by_hand, device=CPU, say=lines.append)
    ).trained_on
    assert (record.setting, record.setting2, record.legacy) == (2, "all", ["class-slices"])
    assert "dropping 6 slices that show all of the test classes of group upper" in lines  # one of each case
    one = load_weights(
        run_training(dataclasses.replace(SPEC, steps=1), tmp_path / "one", data=labelled_by_hand, device=CPU)
    )
    assert one.trained_on.setting2 is None


def test_faults_of_the_prepared_data_are_faults_of_the_weights(data: Path, tmp_path: Path):
    folder = copy_of(data, tmp_path / "data")
    DatasetFile(dataset="phantom", version="0", legacy=("extra-slice", "crop-origin")).write_into(folder)
    found = {}
    for legacy in ((), ("class-slices",)):
        spec = dataclasses.replace(SPEC, setting=2, group="upper", legacy=legacy, steps=1)
        path = run_training(spec, tmp_path / f"run{len(legacy)}", data=folder, device=CPU)
        found[legacy] = load_weights(path).trained_on.legacy
    assert found == {
        (): ["crop-origin", "extra-slice"],
        ("class-slices",): ["class-slices", "crop-origin", "extra-slice"],
    }


def test_setting_2_does_not_begin_with_weights_that_saw_its_classes(data: Path, tmp_path: Path):
    lower = dataclasses.replace(SPEC, setting=2, group="lower", steps=1)
    for name, spec, message in (
        ("one", dataclasses.replace(SPEC, steps=1), "trained in Setting 1, where test classes were visible"),
        ("lower", lower, "trained for group lower, where classes of upper were visible; begin with weights of the"),
    ):
        first = run_training(spec, tmp_path / name, data=data, device=CPU)
        upper = dataclasses.replace(SPEC, setting=2, group="upper", init=str(first))
        with pytest.raises(ConfigError, match=message):
            run_training(upper, tmp_path / "upper", data=data, device=CPU)
    again = dataclasses.replace(lower, init=str(first))
    assert load_weights(run_training(again, tmp_path / "again", data=data, device=CPU)).trained_on.group == "lower"


# ---- folds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fold", [1, None])
def test_lis_folds_train_on_the_other_institutions(data: Path, tmp_path: Path, fold: int | None):
    folder = copy_of(data, tmp_path / "data")  # as a pelvic data set has the same rule for superpixels
    assert PseudolabelRule.of(DATASETS["pelvic"]) == RULE
    institutions = {"1": "UCL", "2": "Bergen", "3": "UCL", "4": "UCL", "5": "Bergen", "6": None}
    cases = {case_id: {"institution": name} for case_id, name in institutions.items()}
    DatasetFile(dataset="pelvic", version="0", cases=cases).write_into(folder)
    spec = RunSpec("pelvic", fold=fold, folds="li", institution="UCL", preset="tiny", steps=1)
    lines: list[str] = []
    record = load_weights(run_training(spec, tmp_path / "run", data=folder, device=CPU, say=lines.append)).trained_on
    assert record.cases == {i: cases_of(folder)[i].checksum() for i in ("2", "5", "6")}
    assert (record.folds, record.institution, record.fold) == ("li", "UCL", fold)
    assert lines[0] == "reading 3 training cases: 2, 5, 6; kept out: 3, 4 (test), 1 (support)"
    wrong = dataclasses.replace(spec, institution="Rome")
    with pytest.raises(ConfigError, match="no institution 'Rome'; give one of Bergen, UCL"):
        run_training(wrong, tmp_path / "other", data=folder, device=CPU)


def test_a_fold_of_anybodys_scans_is_cut_from_labelled_ones(data: Path, tmp_path: Path):
    folder = copy_of(data, tmp_path / "data", "superpix*", "*.json")
    for case_id in ("0", "7"):
        image, _ = draw_patient(70 + int(case_id), shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
        write_volume(image, folder / f"image_{case_id}.nii.gz")
    spec = RunSpec("folder", fold=0, preset="tiny", steps=1)
    lines: list[str] = []
    record = load_weights(run_training(spec, tmp_path / "run", data=folder, device=CPU, say=lines.append)).trained_on
    assert list(record.cases) == ["0", "3", "4", "5", "6", "7"]
    assert lines[-2].endswith("training cases: 0, 3, 4, 5, 6, 7; kept out: 1 (test), 2 (support)")
    (folder / "label_6.nii.gz").unlink()
    with pytest.raises(ConfigError, match="5 cases are too few for 5 folds"):
        run_training(spec, tmp_path / "other", data=folder, device=CPU)


def test_other_schemes_of_folds_are_recorded_and_keep_their_window_out(data: Path, tmp_path: Path):
    # Fold 4 tests 5 and 6, the case after them is 1: ADNet's support is 6.
    spec = dataclasses.replace(SPEC, fold=4, folds="adnet", steps=1)
    lines: list[str] = []
    record = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU, say=lines.append)).trained_on
    assert (record.folds, record.institution, list(record.cases)) == ("adnet", None, ["2", "3", "4"])
    assert lines[0].endswith("kept out: 1, 5 (test), 6 (support)")


# ---- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"steps": 0}, "steps is 0"),
        ({"pairs": 0}, "pairs is 0"),
        ({"dataset": "atlantis"}, "unknown data set 'atlantis'"),
        ({"fold": 5}, "no fold 5; give 0 to 4"),
        ({"support_cases": 5}, "5 support cases"),
        ({"setting": 2}, "Setting 2 needs a group; give upper or lower"),
        ({"setting": 2, "group": "middle"}, "group 'middle' in Setting 2"),
        ({"group": "upper"}, "group 'upper' in Setting 1"),
        ({"setting": 3}, "no Setting 3"),
        ({"setting2": "some"}, "no rule 'some' for Setting 2; give any or all"),
        ({"kind": "voxels"}, "no pseudo-labels 'voxels'; give one of superpixels, supervoxels"),
        (
            {"legacy": ("typo",)},
            "'typo' is not a known bug that training can reproduce; give any of superpixel-ids, class-slices",
        ),
        ({"legacy": ("superpixel-ids", "crop-origin")}, "'crop-origin' is not a known bug that training"),
        ({"legacy": ("superpixel-ids",), "kind": "supervoxels"}, "the known bug superpixel-ids with supervoxels"),
        ({"folds": "mine"}, "no folds 'mine'; give one of ouyang, adnet, qnet, li"),
        ({"folds": "qnet"}, "fold 0 of 6 cases is too small for folds qnet; use other folds"),
        ({"folds": "adnet", "support_cases": 2}, r"2 support cases of fold 0 \(adnet\); give 1 to 1"),
        ({"institution": "UCL"}, "institution 'UCL' with folds ouyang; use folds li"),
        ({"folds": "li", "institution": "UCL"}, "nothing says which institution a case comes from"),
    ],
)
def test_specs_that_make_no_sense(data: Path, tmp_path: Path, changes: dict[str, object], match: str):
    spec = dataclasses.replace(SPEC, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=match):
        run_training(spec, tmp_path / "run", data=data, device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_needs_a_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="no folder for data set phantom"):
        run_training(SPEC, tmp_path / "run", device=CPU)


def test_a_refused_run_can_be_asked_for_again_with_the_right_folder(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no folder"):
        run_training(SPEC, tmp_path / "run", data=tmp_path / "typo", device=CPU)
    run_training(SPEC, tmp_path / "run", data=data, device=CPU)


def test_a_folder_of_pseudo_labels_that_is_not_there(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"no folder .*typo; make it with psmnet pseudolabel, or leave"):
        run_training(SPEC, tmp_path / "run", data=data, pseudolabels=tmp_path / "typo", device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_not_overwritten_without_resume(tmp_path: Path):
    spec = RunSpec("synthetic", preset="tiny")
    content = run_training(spec, tmp_path / "run", device=CPU).read_bytes()
    with pytest.raises(ConfigError, match="already holds a run; resume it"):
        run_training(spec, tmp_path / "run", device=CPU)
    assert run_training(spec, tmp_path / "run", device=CPU, resume=True).read_bytes() == content


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"steps": 5}, "steps 1, not 5"),
        ({"pairs": 2}, "pairs None, not 2"),
        ({"fold": 1, "seed": 2}, "fold None, not 1, seed 0, not 2"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(tmp_path: Path, changes: dict[str, int], named: str):
    spec = RunSpec("synthetic", preset="tiny", steps=1)
    run_training(spec, tmp_path / "run", device=CPU)
    with pytest.raises(ConfigError, match=f"was begun with {named}; resume with the same"):
        run_training(dataclasses.replace(spec, **changes), tmp_path / "run", device=CPU, resume=True)  # type: ignore[arg-type]


def test_a_run_from_before_an_option_is_resumed(tmp_path: Path):
    spec = RunSpec("synthetic", preset="tiny", steps=1)
    run_training(spec, tmp_path / "run", device=CPU)
    path = tmp_path / "run" / RUN_NAME
    before = json.loads(path.read_text(encoding="utf-8"))
    del before["run"]["pairs"]
    path.write_text(json.dumps(before), encoding="utf-8")
    run_training(spec, tmp_path / "run", device=CPU, resume=True)
    with pytest.raises(ConfigError, match="was begun with pairs None, not 2; resume with the same"):
        run_training(dataclasses.replace(spec, pairs=2), tmp_path / "run", device=CPU, resume=True)


def test_a_run_is_not_resumed_with_a_changed_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = RunSpec("synthetic", preset="tiny")
    run_training(spec, tmp_path / "run", device=CPU)
    changed = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, learning_rate=1e-4))
    monkeypatch.setitem(PRESETS, "tiny", changed)
    with pytest.raises(ConfigError, match="was begun with preset tiny of another version; resume"):
        run_training(spec, tmp_path / "run", device=CPU, resume=True)


def test_a_killed_run_resumes_to_the_same_bytes(data: Path, tmp_path: Path):
    def stop(step: int, losses: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(SPEC, tmp_path / "cut", data=data, device=CPU, report=stop)
    assert not (tmp_path / "cut" / WEIGHTS_NAME).exists()
    assert not (tmp_path / "cut" / LOCK_NAME).exists()
    told: list[int] = []
    cut = run_training(
        SPEC, tmp_path / "cut", data=data, device=CPU, resume=True, report=lambda step, _: told.append(step)
    )
    assert told == [2]
    assert cut.read_bytes() == run_training(SPEC, tmp_path / "whole", data=data, device=CPU).read_bytes()


def test_a_checkpoint_without_its_spec_is_left_alone(tmp_path: Path):
    spec = RunSpec("synthetic", preset="tiny", steps=1)
    run_training(spec, tmp_path / "run", device=CPU)
    (tmp_path / "run" / RUN_NAME).unlink()
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"a checkpoint without run\.json"):
            run_training(spec, tmp_path / "run", device=CPU, resume=resume)


# ---- the lock --------------------------------------------------------------------------------------------------


def test_a_run_folder_in_use_is_refused(tmp_path: Path):
    with locked(tmp_path / "run"):
        with pytest.raises(InputError, match=f"being written by process {os.getpid()} on"):
            run_training(RunSpec("synthetic", preset="tiny"), tmp_path / "run", device=CPU)
        assert [p.name for p in (tmp_path / "run").iterdir()] == [LOCK_NAME]


def test_changes_and_steps_stand_over_the_presets():
    recipe = RunSpec("phantom", steps=7, changes=("attention=text", "split_rounds=1")).recipe()
    found = recipe.model.settings
    assert (recipe.train.steps, found["attention"], found["split_rounds"]) == (7, "text", 1)
    with pytest.raises(ConfigError, match="setting 'depth=3'"):
        RunSpec("phantom", changes=("depth=3",)).recipe()
    with pytest.raises(ConfigError, match="split_rounds is -1; give 0 to 8"):
        RunSpec("phantom", changes=("split_rounds=-1",)).recipe()


# ---- what initial weights had seen stays known -------------------------------------------------------------------


def test_setting_1_is_not_forgotten_on_the_way_through_synthetic_images(data: Path, tmp_path: Path):
    run_training(SPEC, tmp_path / "one", data=data, device=CPU)
    synthetic = dataclasses.replace(SPEC, dataset="synthetic", fold=None, init=str(tmp_path / "one"))
    run_training(synthetic, tmp_path / "two", device=CPU)
    assert load_weights(str(tmp_path / "two")).trained_on.setting == 1
    third = dataclasses.replace(SPEC, setting=2, group="upper", init=str(tmp_path / "two"))
    with pytest.raises(ConfigError, match="was trained in Setting 1, where test classes were visible"):
        run_training(third, tmp_path / "three", data=data, device=CPU)


def test_faults_of_initial_weights_stay_recorded(data: Path, tmp_path: Path):
    faulty = dataclasses.replace(SPEC, legacy=("superpixel-ids",))
    run_training(faulty, tmp_path / "one", data=data, device=CPU)
    run_training(dataclasses.replace(SPEC, init=str(tmp_path / "one")), tmp_path / "two", data=data, device=CPU)
    assert load_weights(str(tmp_path / "two")).trained_on.legacy == ["superpixel-ids"]


def test_a_fault_of_setting_2_is_refused_in_setting_1(data: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="class-slices needs Setting 2; Setting 1 drops no slices"):
        run_training(dataclasses.replace(SPEC, legacy=("class-slices",)), tmp_path / "run", data=data, device=CPU)


def test_the_stricter_rule_does_not_begin_with_weights_of_the_other(data: Path, tmp_path: Path):
    two = dataclasses.replace(SPEC, setting=2, group="upper", setting2="all")
    run_training(two, tmp_path / "all", data=data, device=CPU)
    with pytest.raises(ConfigError, match="rule all of Setting 2, where slices with one test class were visible"):
        run_training(
            dataclasses.replace(two, setting2="any", init=str(tmp_path / "all")),
            tmp_path / "any",
            data=data,
            device=CPU,
        )


@pytest.mark.parametrize("method", ["panet", "alpnet", "adnet", "qnet"])
def test_every_method_trains_and_says_so(data: Path, tmp_path: Path, method: str):
    spec = dataclasses.replace(SPEC, method=method, precision="bfloat16")
    weights = load_weights(run_training(spec, tmp_path / "run", data=data, device=CPU))
    assert (weights.config.method, weights.trained_on.method) == (method, method)
    assert weights.trained_on.precision == "bfloat16"
    losses = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert losses["alignment"] > 0  # as published, unlike PSMNet's
    assert ("threshold" in losses) == (method == "adnet")


def test_a_finished_run_is_left_as_it_is(data: Path, tmp_path: Path):
    path = run_training(SPEC, tmp_path / "run", data=data, device=CPU)
    before = path.stat().st_mtime_ns
    lines: list[str] = []
    assert run_training(SPEC, tmp_path / "run", data=data, device=CPU, resume=True, say=lines.append) == path
    assert lines == ["this run is finished"]
    assert path.stat().st_mtime_ns == before
