import json
from pathlib import Path

import numpy as np
import pytest

from psmnet.data.phantom.patient import draw_patient
from psmnet.data.pseudolabels import store as pseudolabel_store
from psmnet.data.pseudolabels.rule import KINDS, PseudolabelRule
from psmnet.data.pseudolabels.store import LIST_NAME, PseudolabelStore
from psmnet.data.store import Case, find_cases
from psmnet.errors import InputError
from psmnet.io import read_labels, write_volume
from psmnet.volume.volume import Volume

RULE = PseudolabelRule("superpixels", 50.0)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    image, _ = draw_patient(0, shape_zyx=(12, 64, 64), spacing_mm=(5, 5, 16))
    write_volume(image, tmp_path / "image_7.nii.gz")
    return find_cases(tmp_path)[0]


@pytest.fixture
def store(tmp_path: Path) -> PseudolabelStore:
    return PseudolabelStore(tmp_path, RULE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_on_the_images_lattice(kind, case: Case, tmp_path: Path):
    store = PseudolabelStore(tmp_path, PseudolabelRule(kind, 50.0))
    done: list[tuple[int, str]] = []
    assert store.write([case], jobs=1, report=lambda *now: done.append(now)) == (1, {})
    assert done == [(1, "7")]
    path = store.path_of("7")
    assert path.name == {"superpixels": "superpix-MIDDLE_7.nii.gz", "supervoxels": "supervox_7.nii.gz"}[kind]
    expected = store.rule.make(case.image())
    np.testing.assert_array_equal(store.read(case), expected)
    np.testing.assert_allclose(read_labels(path).affine, case.image().affine, atol=1e-4)
    entry = store.listed()["7"]
    assert entry.image_sha256 == case.checksum()
    assert entry.ids_by_slice == [len(set(slice_ids.ravel().tolist()) - {0}) for slice_ids in expected]
    assert entry.share_of_scan == pytest.approx((expected > 0).mean(), abs=1e-4)


def test_both_kinds_lie_side_by_side(case: Case, tmp_path: Path):
    stores = [PseudolabelStore(tmp_path, PseudolabelRule(kind, 50.0)) for kind in KINDS]
    for store in stores:
        store.write([case], jobs=1)
    assert all(store.current([case]) == [case] for store in stores)


def test_what_is_there_is_not_made_again(case: Case, store: PseudolabelStore):
    store.write([case], jobs=1)
    before = store.path_of("7").stat().st_mtime_ns
    assert store.write([case], jobs=1) == (0, {})
    assert store.path_of("7").stat().st_mtime_ns == before


def test_a_further_case_leaves_the_others_listed(case: Case, store: PseudolabelStore, tmp_path: Path):
    store.write([case], jobs=1)
    write_volume(case.image(), tmp_path / "image_8.nii.gz")
    cases = find_cases(tmp_path)
    assert store.write(cases, jobs=1) == (1, {})
    assert store.current(cases) == cases


def test_two_processes_make_the_same(case: Case, tmp_path: Path):
    write_volume(case.image(), tmp_path / "image_8.nii.gz")
    cases = find_cases(tmp_path)
    found = []
    for jobs in (1, 2):
        store = PseudolabelStore(tmp_path / str(jobs), RULE)
        assert store.write(cases, jobs=jobs) == (2, {})
        found.append([store.path_of(c.id).read_bytes() for c in cases])
    assert found[0] == found[1]


def test_a_case_that_cannot_be_read_does_not_stop_the_others(case: Case, store: PseudolabelStore, tmp_path: Path):
    (tmp_path / "image_3.nii.gz").write_bytes(case.image_path.read_bytes()[:500])
    cases = find_cases(tmp_path)
    made, failed = store.write(cases, jobs=1)
    assert made == 1
    assert list(failed) == ["3"]
    assert "truncated" in str(failed["3"])
    assert [c.id for c in store.current([case])] == ["7"]
    assert not store.path_of("3").exists()


def test_files_that_the_list_does_not_name_are_foreign(case: Case, store: PseudolabelStore):
    write_volume(case.image().with_array(np.ones((12, 64, 64), np.uint16)), store.path_of("7"))
    assert store.current([case]) == []
    assert store.foreign([case]) == [case]
    store.write([case], jobs=1)
    assert store.current([case]) == [case]
    assert store.foreign([case]) == []
    assert store.read(case).max() > 1


def test_another_rule_is_not_current(case: Case, store: PseudolabelStore, tmp_path: Path):
    store.write([case], jobs=1)
    for rule in (
        PseudolabelRule("superpixels", None),
        PseudolabelRule("superpixels", 1e-4),
        PseudolabelRule("superpixels", 50.0, faulty_ids=True),
        PseudolabelRule("supervoxels", 50.0),
    ):
        assert PseudolabelStore(tmp_path, rule).current([case]) == []


def test_a_changed_image_is_not_current(case: Case, store: PseudolabelStore):
    store.write([case], jobs=1)
    write_volume(case.image().with_array(case.image().array_zyx + 1), case.image_path)
    assert store.current([case]) == []


def test_a_lost_file_is_not_current(case: Case, store: PseudolabelStore):
    store.write([case], jobs=1)
    store.path_of("7").unlink()
    assert store.current([case]) == []


def test_the_list_says_how_they_were_made(case: Case, store: PseudolabelStore, tmp_path: Path):
    store.write([case], jobs=1)
    content = json.loads((tmp_path / LIST_NAME).read_text(encoding="utf-8"))
    assert content["superpixels"]["7"]["parameters"] == {
        "algorithm": "felzenszwalb",
        "scale": 1,
        "min_size_px": 400,
        "sigma_px": 1,
        "body_threshold": 50.0,
        "faulty_ids": False,
    }


def test_other_parameters_are_not_current(case: Case, store: PseudolabelStore, tmp_path: Path):
    store.write([case], jobs=1)
    content = json.loads((tmp_path / LIST_NAME).read_text(encoding="utf-8"))
    content["superpixels"]["7"]["parameters"]["min_size_px"] = 100
    for changed in (content, {"superpixels": {"7": {}}}):
        (tmp_path / LIST_NAME).write_text(json.dumps(changed), encoding="utf-8")
        assert store.current([case]) == []


@pytest.mark.parametrize("content", [{"superpixels": []}, {"superpixels": {"7": {"ids_by_slice": "a"}}}, []])
def test_a_damaged_list_is_refused(case: Case, store: PseudolabelStore, tmp_path: Path, content: object):
    """Else all that lies there would pass for files made by other programs."""
    store.write([case], jobs=1)
    (tmp_path / LIST_NAME).write_text(json.dumps(content), encoding="utf-8")
    for use in (store.current, store.foreign, store.write):
        with pytest.raises(
            InputError, match=r"pseudolabels.json is damaged .*; delete it and the pseudo-labels beside"
        ):
            use([case])


def test_a_run_killed_between_a_file_and_its_entry_vouches_for_nothing(
    case: Case, store: PseudolabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else faulty superpixels would stand under the entry of those that were there, or pass for the field's own."""
    store.write([case], jobs=1)
    faulty = PseudolabelStore(tmp_path, PseudolabelRule("superpixels", 50.0, faulty_ids=True))

    def killed_after(work, items, jobs):
        for item in items:
            work(item)
        raise KeyboardInterrupt
        yield

    for one, other in ((faulty, store), (store, faulty)):
        with monkeypatch.context() as patch:
            patch.setattr(pseudolabel_store, "map_cases", killed_after)
            with pytest.raises(KeyboardInterrupt):
                one.write([case], jobs=1)
        np.testing.assert_array_equal(one.read(case), one.rule.make(case.image()))
        for each in (one, other):
            assert each.current([case]) == []
            assert each.foreign([case]) == []
    assert store.write([case], jobs=1) == (1, {})
    assert store.current([case]) == [case]


def test_the_fields_own_lose_the_257th_row_and_column_as_their_images_do(tmp_path: Path, store: PseudolabelStore):
    ids = np.random.default_rng(0).integers(1, 60, (2, 257, 257)).astype(np.float64)  # as the notebooks write them
    write_volume(Volume(ids.astype(np.float32)), tmp_path / "image_1.nii.gz")
    write_volume(Volume(ids), store.path_of("1"))
    (case,) = find_cases(tmp_path)
    assert store.foreign([case]) == [case]
    np.testing.assert_array_equal(store.read(case), ids[:, :256, :256])
    assert store.read(case).shape == case.image().array_zyx.shape
