import numpy as np
import pytest

from psmnet.catalog import DATASETS
from psmnet.data import splits
from psmnet.data.splits import Split, allowed_slices, excluded_classes, fold_bounds, split_cases
from psmnet.errors import ConfigError

CHAOS = DATASETS["chaos-t2"]
CHAOS_IDS = [str(n) for n in (1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39)]


def numbered(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


# ---- folds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fold", "test", "support"),
    [
        (0, "1 2 3 5", "8"),
        (1, "8 10 13 15", "19"),
        (2, "19 20 21 22", "31"),
        (3, "31 32 33 34", "36"),
        (4, "36 37 38 39", "1"),  # wraps to the first
    ],
)
def test_chaos_folds_by_hand(fold, test, support):
    split = split_cases(CHAOS, CHAOS_IDS, fold)
    assert split.test == tuple(test.split())
    assert split.support == (support,)
    assert split.train == tuple(i for i in CHAOS_IDS if i not in {*test.split(), support})
    assert len(split.train) == 15


def test_more_shots_are_the_cases_after_the_fold_and_wrap():
    assert split_cases(CHAOS, CHAOS_IDS, 3, shots=5).support == ("36", "37", "38", "39", "1")
    assert split_cases(CHAOS, CHAOS_IDS, 4, shots=3).support == ("1", "2", "3")
    assert split_cases(CHAOS, CHAOS_IDS, 4, shots=3).train[0] == "5"


@pytest.mark.parametrize("name", ["chaos-t2", "sabs", "cmr", "pelvic", "phantom", "folder"])
@pytest.mark.parametrize("shots", [1, 3])
def test_no_case_is_in_two_roles_and_none_is_lost(name, shots):
    facts = DATASETS[name]
    ids = numbered(facts.cases or 13)
    tested = []
    for fold in range(facts.folds):
        split = split_cases(facts, ids, fold, shots)
        parts = [set(split.test), set(split.support), set(split.train)]
        assert sum(map(len, parts)) == len(ids)
        assert set.union(*parts) == set(ids)
        assert len(split.support) == shots
        tested += split.test
    assert tested == ids  # every case is a query once


def test_without_a_fold_all_cases_train():
    assert split_cases(CHAOS, CHAOS_IDS, None) == Split((), (), tuple(CHAOS_IDS))


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("chaos-t2", (0, 4, 8, 12, 16, 20)),
        ("sabs", (0, 6, 12, 18, 24, 30)),
        ("cmr", (0, 7, 14, 21, 28, 35)),
    ],
)
def test_bounds_of_the_field(name, bounds):
    assert fold_bounds(DATASETS[name], bounds[-1]) == bounds


@pytest.mark.parametrize(
    ("cases", "bounds"),
    [
        (6, (0, 1, 2, 3, 4, 6)),
        (10, (0, 2, 4, 6, 8, 10)),
        (14, (0, 2, 4, 6, 8, 14)),
    ],
)
def test_other_data_sets_are_cut_in_equal_parts_with_the_remainder_in_the_last(cases, bounds):
    assert fold_bounds(DATASETS["folder"], cases) == bounds


def test_too_few_cases():
    with pytest.raises(ConfigError, match="5 cases are too few for 5 folds; give at least 6"):
        fold_bounds(DATASETS["folder"], 5)


@pytest.mark.parametrize("fold", [-1, 5])
def test_no_such_fold(fold):
    with pytest.raises(ConfigError, match=f"no fold {fold}; give 0 to 4"):
        split_cases(CHAOS, CHAOS_IDS, fold)


@pytest.mark.parametrize("shots", [0, -1, 16, 99])
def test_shots_must_leave_cases_to_train_on(shots):
    with pytest.raises(ConfigError, match=f"^{shots} support cases of fold 0"):
        split_cases(CHAOS, CHAOS_IDS, 0, shots)


# ---- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "group", "values"),
    [
        ("chaos-t2", "upper", {1, 4}),  # liver, spleen
        ("chaos-t2", "lower", {2, 3}),
        ("sabs", "upper", {6, 1}),
        ("sabs", "lower", {2, 3}),
    ],
)
def test_setting_2_drops_the_groups_test_classes(name, group, values):
    assert set(excluded_classes(DATASETS[name], 2, group)) == values


def test_setting_1_drops_nothing():
    assert excluded_classes(CHAOS, 1, None) == ()


@pytest.mark.parametrize(
    ("name", "setting", "group", "message"),
    [
        ("cmr", 2, None, "has no Setting 2; use Setting 1"),
        ("cmr", 2, "upper", "has no Setting 2"),
        ("chaos-t2", 2, None, "Setting 2 needs a group; give upper or lower"),
        ("chaos-t2", 2, "middle", "group 'middle' in Setting 2"),
        ("chaos-t2", 1, "upper", "group 'upper' in Setting 1"),
        ("chaos-t2", 3, None, "no Setting 3; give 1 or 2"),
        ("chaos-t2", 0, None, "no Setting 0"),
    ],
)
def test_settings_that_do_not_exist(name, setting, group, message):
    with pytest.raises(ConfigError, match=message):
        excluded_classes(DATASETS[name], setting, group)


def test_a_slice_with_any_excluded_class_is_dropped():
    labels = np.zeros((5, 2, 2), dtype=np.uint8)
    labels[1, 0, 0] = 1
    labels[2, 0, 0] = 2
    labels[3] = [[1, 4], [2, 3]]
    assert allowed_slices(labels, (1, 4)).tolist() == [True, False, True, False, True]
    assert allowed_slices(labels, (2, 3)).tolist() == [True, True, False, False, True]
    assert allowed_slices(labels, ()).all()


def test_all_drops_only_slices_with_every_test_class():
    labels = np.zeros((4, 2, 2), dtype=np.uint8)
    labels[1, 0, 0] = 1
    labels[2, 0, 0] = 4
    labels[3] = [[1, 4], [0, 0]]
    assert allowed_slices(labels, (1, 4), rule="all").tolist() == [True, True, True, False]
    assert allowed_slices(labels, (1, 4), rule="any").tolist() == [True, False, False, False]
    with pytest.raises(ConfigError, match="no rule 'some' for Setting 2; give any or all"):
        allowed_slices(labels, (1, 4), rule="some")


def test_the_fields_class_index_adds_up_label_values():
    """Fault 2: of 99 voxels of class 1 the sum is 99, of 25 of class 4 it is 100; one voxel of class 1 beside them."""
    labels = np.zeros((4, 10, 10), dtype=np.uint8)
    labels[0].flat[:99] = 1
    labels[1].flat[:25] = 4
    labels[2].flat[:24] = 4
    labels[3].flat[:25] = 4
    labels[3, 9, 9] = 1
    assert splits.slices_with(labels, 1).tolist() == [True, False, False, True]
    assert splits.slices_with(labels, 4).tolist() == [False, True, True, True]
    assert splits.slices_with(labels, 1, faulty=True).tolist() == [False, False, False, True]
    assert splits.slices_with(labels, 4, faulty=True).tolist() == [False, True, False, True]
    assert allowed_slices(labels, (4,), faulty=True).tolist() == [True, False, True, False]


# ---- the field's three schemes of folds, and institutions --------------------------------------------------------


@pytest.mark.parametrize("fold", range(5))
def test_adnets_folds_differ_in_the_last_alone(fold):
    split = split_cases(CHAOS, CHAOS_IDS, fold, folds="adnet")
    if fold < 4:
        assert split == split_cases(CHAOS, CHAOS_IDS, fold)
    else:  # the window is 1, 36, 37, 38, 39
        assert split.support == ("39",)
        assert split.test == ("1", "36", "37", "38")
        assert set(split.train) == set(CHAOS_IDS) - {"1", "36", "37", "38", "39"}


def test_qnets_support_is_number_two_of_the_window():
    split = split_cases(CHAOS, CHAOS_IDS, 0, folds="qnet")  # window 1, 2, 3, 5, 8
    assert split.support == ("3",)
    assert split.test == ("1", "2", "5", "8")
    assert split_cases(CHAOS, CHAOS_IDS, 4, folds="qnet").support == ("37",)  # window 1, 36, 37, 38, 39


def test_one_shot_only_in_their_folds():
    for folds in ("adnet", "qnet"):
        with pytest.raises(ConfigError, match=rf"2 support cases of fold 0 \({folds}\); give 1 to 1"):
            split_cases(CHAOS, CHAOS_IDS, 0, 2, folds=folds)
    with pytest.raises(ConfigError, match="no folds 'mine'; give one of ouyang, adnet, qnet, li"):
        split_cases(CHAOS, CHAOS_IDS, 0, folds="mine")


PELVIC = DATASETS["pelvic"]
INSTITUTIONS = {"a": "UCL", "b": "Bergen", "c": "UCL", "d": "Bergen", "e": "UCL"}


def test_an_institution_is_held_out():
    split = split_cases(PELVIC, list("abcde"), 1, folds="li", institutions=INSTITUTIONS, institution="UCL")
    assert split == Split(test=("c", "e"), support=("a",), train=("b", "d"))
    split = split_cases(PELVIC, list("abcde"), None, 2, folds="li", institutions=INSTITUTIONS, institution="UCL")
    assert split == Split(test=("e",), support=("a", "c"), train=("b", "d"))


@pytest.mark.parametrize("fold", range(4))
def test_novel_classes_are_two_of_eight(fold):
    assert sorted(splits.novel_classes(PELVIC, fold).values()) == [fold + 1, fold + 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"institution": "Rome"}, "no institution 'Rome'; give one of Bergen, UCL"),
        ({"institution": None}, "folds li need an institution"),
        ({"institution": "UCL", "institutions": {}}, "nothing says which institution"),
        ({"institution": "UCL", "shots": 3}, "3 support cases of 3 at UCL; give 1 to 2"),
        ({"institution": "UCL", "fold": 4}, "no fold 4 of Li's; give 0 to 3"),
        ({"institution": "UCL", "folds": "ouyang"}, "institution 'UCL' with folds ouyang; use folds li"),
    ],
)
def test_institutions_that_do_not_work(options, message):
    asked = {"fold": 0, "shots": 1, "folds": "li", "institutions": INSTITUTIONS} | options
    with pytest.raises(ConfigError, match=message):
        split_cases(PELVIC, list("abcde"), **asked)


def test_unlabelled_cases_are_always_trained_on():
    ids = numbered(9)
    split = split_cases(DATASETS["folder"], ids, 0, unlabelled={"1", "4", "8"})
    assert split == Split(test=("2",), support=("3",), train=("1", "4", "5", "6", "7", "8", "9"))
    with pytest.raises(ConfigError, match="5 cases are too few for 5 folds"):
        split_cases(DATASETS["folder"], ids, 0, unlabelled={"1", "4", "8", "9"})


def test_organs_that_are_reported():
    assert splits.tested_organs(CHAOS, 1, None, [], {}) == dict(CHAOS.labels)
    assert splits.tested_organs(CHAOS, 2, "lower", [], {}) == {"right_kidney": 2, "left_kidney": 3}
    assert splits.tested_organs(DATASETS["folder"], 1, None, [2, 7], {7: "heart"}) == {"label_2": 2, "heart": 7}
    assert set(splits.tested_organs(DATASETS["sabs"], 1, None, range(14), {})) == {
        "liver",
        "spleen",
        "right_kidney",
        "left_kidney",
    }


# ---- EP1 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", [19, 21])
def test_folds_of_an_incomplete_data_set_are_refused_because_they_would_not_be_the_published_ones(cases):
    with pytest.raises(ConfigError, match=f"{cases} cases, but the data set .* has 20"):
        fold_bounds(DATASETS["chaos-t2"], cases)
