import pytest

from helpers.results_maker import results
from psmnet.evaluation.bench.comparison import Cell, Row, Summary, common_scans, lotteries
from psmnet.evaluation.bench.gather import gather_tables
from psmnet.evaluation.results_reader import parse_results


def file(dice, name="a.json", **options):
    return parse_results(results(dice, **options), name, name, "")


def table(*files):
    (found,), _ = gather_tables(files)
    return found


def test_means_are_over_scans_of_all_folds():
    """Not the mean of the folds' means: fold 0 has two scans, fold 1 one."""
    (row,) = table(
        file({"1": {"liver": 0.2}, "2": {"liver": 0.4}}),
        file({"3": {"liver": 0.9}}, "b.json", fold=1),
    ).rows
    # (0.2 + 0.4 + 0.9) / 3 = 0.5; squares 0.09 + 0.01 + 0.16 = 0.26
    assert row.summaries("dice")["liver"] == Summary(pytest.approx(0.5), pytest.approx((0.26 / 3) ** 0.5), 3)
    assert row.scans() == 3


def test_seeds_and_supports_are_averaged_within_a_scan_first():
    """Scan 1 has three values of mean 0.4, scan 2 one of 0.8: 0.6, not the 0.5 of all four."""
    (row,) = table(
        file({"1": {"liver": 0.2}}),
        file({"1": {"liver": 0.4}}, "b.json", seed=1),
        file({"1": {"liver": 0.6}}, "c.json", supports=("t",)),
        file({"2": {"liver": 0.8}}, "d.json", fold=1),
    ).rows
    assert row.by_scan("dice") == {"1": {"liver": pytest.approx(0.4)}, "2": {"liver": 0.8}}
    assert row.summaries("dice")["liver"].mean == pytest.approx(0.6)
    assert row.summaries("dice")["liver"].n == 2


def test_the_mean_is_that_of_the_organs():
    """Spleen has one scan, and weighs as much as the liver's two: (0.3 + 0.9) / 2."""
    (row,) = table(file({"1": {"liver": 0.2}, "2": {"liver": 0.4, "spleen": 0.9}})).rows
    assert row.mean("dice") == pytest.approx(0.6)


def test_what_has_no_value_is_left_out_and_counted():
    (row,) = table(file({"1": {"liver": 0.5, "spleen": None}, "2": {"liver": 0.0, "spleen": 0.4}})).rows
    assert row.summaries("dice")["spleen"] == Summary(0.4, None, 1)  # one scan has no deviation
    assert row.summaries("dice")["liver"].mean == 0.25
    assert row.summaries("hd95_mm")["liver"].n == 1  # nothing predicted: no distance
    assert (row.absent(), row.empty()) == (1, 1)


def test_a_row_without_values_has_no_mean():
    (row,) = table(file({"1": {"liver": None}})).rows
    assert row.summaries("dice") == {}
    assert row.mean("dice") is None


# ---- what two rows have in common ------------------------------------------------------------------------------


def rows(*files):
    found = table(*files)
    return {row.name: row for row in found.rows}


def test_pairs_are_means_over_a_scans_organs():
    of = rows(
        file({"1": {"liver": 0.6, "spleen": 0.8}}),
        file({"1": {"liver": 0.2, "spleen": 0.4}}, "b.json", method="panet"),
    )
    pairs, places = common_scans(of["psmnet"], of["panet"])
    assert pairs == {"1": (pytest.approx(0.7), pytest.approx(0.3))}
    assert places == 1


def test_pairs_use_cells_and_organs_that_both_have():
    """panet lacks fold 1, and found no spleen to score in scan 2: both drop out on both sides."""
    of = rows(
        file({"1": {"liver": 0.6, "spleen": 0.8}, "2": {"liver": 0.5, "spleen": 0.1}}),
        file({"3": {"liver": 0.9}}, "b.json", fold=1),
        file({"1": {"liver": 0.2, "spleen": 0.4}, "2": {"liver": 0.3}}, "c.json", method="panet"),
    )
    pairs, places = common_scans(of["psmnet"], of["panet"])
    assert pairs == {"1": (pytest.approx(0.7), pytest.approx(0.3)), "2": (0.5, 0.3)}
    assert places == 1


def test_seeds_are_paired():
    """Seed 1, which panet lacks, does not count for psmnet."""
    of = rows(
        file({"1": {"liver": 0.6}}),
        file({"1": {"liver": 1.0}}, "b.json", seed=1),
        file({"1": {"liver": 0.2}}, "c.json", method="panet"),
    )
    assert common_scans(of["psmnet"], of["panet"]) == ({"1": (0.6, 0.2)}, 1)


def test_a_method_without_training_is_paired_with_the_mean_of_the_seeds():
    of = rows(
        file({"1": {"liver": 0.6}}),
        file({"1": {"liver": 1.0}}, "b.json", seed=1),
        file({"1": {"liver": 0.2}}, "c.json", method="registration", free=True),
    )
    assert common_scans(of["psmnet"], of["registration"]) == ({"1": (pytest.approx(0.8), 0.2)}, 1)
    assert common_scans(of["registration"], of["psmnet"]) == ({"1": (0.2, pytest.approx(0.8))}, 1)


def test_nothing_in_common():
    of = rows(file({"1": {"liver": 0.6}}), file({"1": {"liver": 0.2}}, "b.json", method="panet", supports=("t",)))
    assert common_scans(of["psmnet"], of["panet"]) == ({}, 0)


# ---- supports --------------------------------------------------------------------------------------------------


def test_support_lottery():
    found = table(
        file({"1": {"liver": 0.2}, "2": {"liver": 0.4}}),
        file({"1": {"liver": 0.6}, "2": {"liver": 1.0}}, "b.json", supports=("t",)),
        file({"3": {"liver": 0.6}}, "c.json", fold=1),
        file({"1": {"liver": 0.5}, "2": {"liver": 0.7}}, "d.json", method="panet", supports=("t",)),
    )
    (lottery,) = lotteries(found)  # fold 1 has but one support
    assert (lottery.fold_name, lottery.supports) == ("0", [("s",), ("t",)])
    assert lottery.means == {"psmnet": [pytest.approx(0.3), pytest.approx(0.8)], "panet": [None, pytest.approx(0.6)]}


def test_cells_without_a_seed_count_where_no_other_method_was():
    one, other = Cell("", 0, ("s",), 0), Cell("", 0, ("s",), None)
    free = file({"1": {"liver": 0.5}}, free=True, method="registration")
    found = table(file({"1": {"liver": 0.5}}), free)
    assert found.cells() == [one]
    assert Row("registration", {other: free}).trained is False
    assert table(free).cells() == [other]


def test_a_row_is_found_by_its_name_or_by_its_method():
    found = table(
        file({"1": {"liver": 0.5}}, method="panet"),
        file({"1": {"liver": 0.5}}, "b.json", variant="grid=0"),
        file({"1": {"liver": 0.5}}, "c.json", method="alpnet"),
        file({"1": {"liver": 0.5}}, "d.json", method="alpnet", variant="grid=0"),
    )
    names = {asked: row and row.name for asked in ("panet", "psmnet", "alpnet", "qnet") for row in [found.row(asked)]}
    assert names == {"panet": "panet", "psmnet": "psmnet-grid=0", "alpnet": "alpnet", "qnet": None}
