import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.training_runs import CASES, CPU, PHANTOM, RULE, SPEC, TINY, cases_of, copy_of, source_of
from psmnet.catalog import DATASETS
from psmnet.config import AugmentConfig
from psmnet.data import splits
from psmnet.data.dataset_file import DatasetFile
from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels.rule import PseudolabelRule
from psmnet.data.pseudolabels.store import PseudolabelStore
from psmnet.data.store import Case, find_cases
from psmnet.errors import ConfigError, InputError
from psmnet.io import write_volume
from psmnet.models.weights import load_weights
from psmnet.training.episodes import SelfSupervisedEpisodes
from psmnet.training.run import run_training
from psmnet.training.run_spec import RunSpec
from psmnet.volume.normalisation import Normalisation


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


STILL = AugmentConfig(rotation_deg=0, shear_deg=0, shift_px=0, scale=(1, 1), elastic_alpha_px=0, gamma=(1, 1))


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


def test_a_data_set_needs_a_folder(tmp_path: Path):
    with pytest.raises(ConfigError, match="no folder for data set phantom"):
        run_training(SPEC, tmp_path / "run", device=CPU)


def test_a_folder_of_pseudo_labels_that_is_not_there(data: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"no folder .*typo; make it with psmnet pseudolabel, or leave"):
        run_training(SPEC, tmp_path / "run", data=data, pseudolabels=tmp_path / "typo", device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_setting_2_is_refused_in_setting_1(data: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="class-slices needs Setting 2; Setting 1 drops no slices"):
        run_training(dataclasses.replace(SPEC, legacy=("class-slices",)), tmp_path / "run", data=data, device=CPU)
