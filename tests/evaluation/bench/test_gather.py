import pytest

from helpers.results_maker import results
from psmnet.catalog import PROTOCOLS
from psmnet.errors import InputError
from psmnet.evaluation.bench.gather import gather_tables
from psmnet.evaluation.results_reader import parse_results

DICE = {"1": {"liver": 0.5, "spleen": 0.7}}


def file(name="a.json", dice=None, **options):
    return parse_results(results(dice or DICE, **options), name, name, "")


def shape(files, folds=None):
    """Names of rows, table by table."""
    return [[row.name for row in table.rows] for table in gather_tables(files, folds)[0]]


def missing(*files):
    (table,), _ = gather_tables(files)
    return {row.name: row.missing for row in table.rows}


# ---- what stands in one table ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "sabs"},
        {"protocol": "ep2"},
        {"setting": 2, "group": "upper", "setting2": "any"},
        {"folds": "adnet"},
        {"supports": ("s", "t")},  # two shots
        {"postprocess": "largest component"},
        {"legacy": ["extra-slice"]},
        {"trained": {"pseudolabels": "supervoxels"}},
        {"trained": {"steps": 2000}},
        {"trained": {"dataset": "synthetic"}},
    ],
)
def test_what_differs_is_not_compared(change):
    assert shape([file(), file("b.json", method="panet", **change)]) in (
        [["psmnet"], ["panet"]],
        [["panet"], ["psmnet"]],
    )


@pytest.mark.parametrize("change", [{"seed": 1}, {"fold": 1}, {"supports": ("t",)}, {"trained": {"preset": "paper"}}])
def test_what_may_differ_in_a_table(change):
    assert [set(names) for names in shape([file(), file("b.json", method="panet", **change)])] == [{"psmnet", "panet"}]


def test_groups_and_rules_of_setting_2_are_tables_of_their_own():
    upper = {"setting": 2, "group": "upper", "setting2": "any"}
    changes = [upper, upper | {"group": "lower"}, upper | {"setting2": "all"}]
    assert len(shape([file(f"{number}.json", **change) for number, change in enumerate(changes)])) == 3


def test_a_method_without_training_stands_wherever_it_may():
    free = file("r.json", method="registration", free=True)
    files = [
        file(),
        file("b.json", trained={"steps": 2000}),
        file("c.json", legacy=["superpixel-ids"]),  # a fault of training is none of registration's
        file("d.json", legacy=["extra-slice"]),  # one of the data is
        file("e.json", protocol="ep2"),
        free,
    ]
    assert sorted(len(names) for names in shape(files)) == [1, 1, 2, 2, 2]
    assert shape([free]) == [["registration"]]
    two = {"setting": 2, "group": "upper"}
    assert shape([file(**two, setting2="any"), file("r.json", method="registration", free=True, **two)]) == [
        ["psmnet", "registration"]
    ]


def test_rows_are_named_and_ordered_by_their_mean():
    better = {"1": {"liver": 0.8, "spleen": 0.9}}
    files = [file(), file("b.json", variant="grid=0", dice=better), file("c.json", method="panet", dice=better)]
    assert shape(files) == [["panet", "psmnet-grid=0", "psmnet"]]


def test_networks_of_one_name_are_told_apart():
    files = [
        file(provenance={"model": {"attention": "off", "grid": 4}}),
        file("b.json", provenance={"model": {"attention": "text", "grid": 4}}),
        file("c.json", fold=1, provenance={"model": {"attention": "text", "grid": 4}}),
        file("d.json", method="panet", trained={"method": "psmnet"}),
    ]
    ((one, *others),) = shape(files)
    assert {one, *others} == {"psmnet (attention=off)", "psmnet (attention=text)", "panet (with weights of psmnet)"}


def test_organs_stand_in_the_data_sets_order():
    dice = {"1": {"spleen": 0.1, "tumour": 0.2, "liver": 0.3}}
    ((table,), _) = gather_tables([file(dice=dice)])
    assert table.organs == ["liver", "spleen", "tumour"]


def test_folds_can_be_chosen():
    files = [file(), file("b.json", fold=1), file("c.json", fold=1, method="panet")]
    (table,), _ = gather_tables(files, {1})
    assert [row.missing for row in table.rows] == ["", ""]
    assert {f.source for f in table.files()} == {"b.json", "c.json"}
    with pytest.raises(InputError, match="no results of fold 3"):
        gather_tables(files, {1, 3})


def test_institutions_are_folds():
    own = [file(f"{place}.json", folds="li", institution=place) for place in ("UCL", "Bergen")]
    assert missing(*own, file("p.json", folds="li", institution="UCL", method="panet")) == {
        "psmnet": "",
        "panet": "1 of 2 folds: Bergen/0 missing",
    }


# ---- duplicates ------------------------------------------------------------------------------------------------


def test_one_cell_with_two_figures_is_refused():
    with pytest.raises(InputError) as caught:
        gather_tables([file(), file("b.json", dice={"1": {"liver": 0.4, "spleen": 0.7}})])
    assert str(caught.value) == (
        "a.json and b.json are the same cell (psmnet, fold 0, seed 0, support s) with different figures; "
        "leave one of them out"
    )


def test_the_same_figures_twice_count_once():
    (table,), remarks = gather_tables([file(), file("b.json")])
    assert remarks == ["b.json says the same as a.json"]
    assert [f.source for f in table.files()] == ["a.json"]


# ---- what is missing -------------------------------------------------------------------------------------------


def test_missing_folds_are_named():
    own = [file(f"{fold}.json", fold=fold) for fold in range(5)]
    other = [file(f"p{fold}.json", fold=fold, method="panet") for fold in (0, 2, 3)]
    assert missing(*own, *other) == {"psmnet": "", "panet": "3 of 5 folds: 1, 4 missing"}


def test_each_row_may_lack_what_the_other_has():
    assert missing(file(fold=0), file("b.json", fold=1, method="panet")) == {
        "psmnet": "1 of 2 folds: 1 missing",
        "panet": "1 of 2 folds: 0 missing",
    }


def test_missing_seeds_and_supports_are_named():
    own = [file(f"{seed}{s}.json", seed=seed, supports=(s,)) for seed in (0, 1) for s in "st"]
    other = [file("p.json", method="panet"), file("q.json", method="panet", seed=1)]
    found = missing(*own, *other)
    assert found["psmnet"] == ""
    assert found["panet"] == "2 of 4 cells: (fold 0, seed 0, support t), (fold 0, seed 1, support t) missing"


def test_many_missing_cells_are_counted():
    own = [file(f"{seed}.json", seed=seed) for seed in range(10)]
    found = missing(*own, file("p.json", method="panet"))["panet"]
    assert found.startswith("1 of 10 cells: (fold 0, seed 1, support s), ")
    assert found.endswith(" and 3 more missing")


def test_a_method_without_training_needs_no_seeds():
    own = [file(f"{seed}.json", seed=seed) for seed in (0, 1)]
    free = file("r.json", method="registration", free=True)
    assert missing(*own, free) == {"psmnet": "", "registration": ""}
    other = file("q.json", method="registration", free=True, fold=1)
    assert missing(*own, free, other) == {"psmnet": "1 of 2 folds: 1 missing", "registration": ""}
    assert missing(*own, other) == {
        "psmnet": "1 of 2 folds: 1 missing",
        "registration": "1 of 2 folds: 0 missing",
    }


def test_missing_organs_and_scans_are_named():
    found = missing(
        file(dice={"1": {"liver": 0.5, "spleen": 0.5}, "2": {"liver": 0.5}}),
        file("b.json", method="panet", dice={"1": {"liver": 0.5}}),
    )
    place = "(fold 0, seed 0, support s)"
    assert found == {"psmnet": "", "panet": f"2 scores missing: spleen of case 1 {place}, liver of case 2 {place}"}


def test_an_organ_that_no_method_could_score_is_not_missing():
    """EP1 makes no record of an organ that the scan lacks."""
    dice = {"1": {"liver": 0.5, "spleen": 0.5}, "2": {"liver": 0.5}}
    assert missing(file(dice=dice), file("b.json", method="panet", dice=dice)) == {"psmnet": "", "panet": ""}


def test_rows_that_lack_something_stand_last():
    best = {"1": {"liver": 1.0, "spleen": 1.0}}
    files = [file(), file("b.json", fold=1), file("c.json", method="panet", dice=best)]
    assert shape(files) == [["psmnet", "panet"]]


# ---- what else a reader must know ------------------------------------------------------------------------------


def test_the_protocol_is_described_in_the_words_of_this_version():
    older = {"note": "EP1 is told where each organ begins and ends in the query."}
    ((table,), _) = gather_tables([file(provenance=older), file("b.json", fold=1)])
    assert (table.notes, table.warnings) == ([PROTOCOLS["ep1"]], [])


def test_other_images_under_the_same_name_are_told():
    ((table,), _) = gather_tables([file(), file("b.json", method="panet", provenance={"checksums": {"1": "another"}})])
    assert table.warnings == ["Not all results come from the same images: case 1 differs between files."]


def test_tests_on_training_scans_are_told():
    seen = {"allow_seen": True, "seen_in_training": ["1"]}
    ((table,), _) = gather_tables(
        [file(provenance=seen), file("b.json", method="panet", provenance={"allow_seen": True})]
    )
    assert table.warnings == [
        "panet was evaluated without the check for scans seen in training.",
        "psmnet: training saw scans that it is tested with: case 1.",
    ]
