import numpy as np
import pytest

from psmnet.errors import InputError
from psmnet.evaluation.bench.paired import bootstrap_interval, compare_paired, signed_rank


def test_all_scans_better_by_one_to_four():
    """Four of four in favour: 2 of 16 signs are as extreme, p = 1/8.

    The mean of four draws from 1..4: sums up to 5 have 5 of 256 chances (2.0 %), up to 6 have 15 (5.9 %), so the 2.5 %
    quantile is 6/4, and by symmetry the other is 14/4.
    """
    pair = compare_paired([1, 2, 3, 4], [0, 0, 0, 0])
    assert (pair.n, pair.difference, pair.low, pair.high) == (4, 2.5, 1.5, 3.5)
    assert (pair.p, pair.exact, pair.smallest_p) == (0.125, True, 0.125)


def test_the_sign_is_the_first_ones():
    assert compare_paired([0.5], [0.75]).difference == -0.25


def test_identical_runs_do_not_differ():
    pair = compare_paired([0.5, 0.7, 0.9], [0.5, 0.7, 0.9])
    assert (pair.difference, pair.low, pair.high, pair.p, pair.exact) == (0, 0, 0, 1, True)


def test_rounding_is_no_difference():
    """0.1 + 0.2 is not 0.3, but no method is better by 4e-17."""
    pair = compare_paired([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert (pair.difference, pair.p) == (0, 1)


def test_bootstrap_of_a_normal_sample_is_near_the_textbooks_interval():
    values = np.random.default_rng(5).normal(3, 2, 400)
    low, high = bootstrap_interval(values)
    margin = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - margin, abs=0.02)
    assert high == pytest.approx(values.mean() + margin, abs=0.02)


def test_bootstrap_of_one_value_is_that_value():
    assert bootstrap_interval([0.25]) == (0.25, 0.25)


def test_bootstrap_is_the_same_every_time_and_follows_its_seed():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, draws=50) != bootstrap_interval(values, draws=50, seed=1)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1),
        ([0, 0], 1),
        ([1], 1),  # 2 of 2
        ([1, 2, 3, 4, -5], 0.625),  # W = 5 of 15: of 32, 10 rank sums are 5 or less
        ([0, 1, 2, 3, 4, -5, 0], 0.625),  # zeros are left out
        ([1, 1, 1, 1, -1], 0.375),  # ties: one of five the other way, 2 (1 + 5) of 32
        ([0.3, 0.3, 0.3], 0.25),  # 2 of 8
    ],
)
def test_exact_signed_ranks(differences, p):
    assert signed_rank(differences) == (pytest.approx(p), True)


def test_many_scans_take_the_normal_distribution():
    """51 differences without ties, half of them each way: far from significant."""
    differences = [(-1) ** i * (i + 1) for i in range(51)]
    p, exact = signed_rank(differences)
    assert not exact
    assert p > 0.5
    assert signed_rank(differences[:50])[1]
    assert signed_rank([1] * 13) == (pytest.approx(2 / 2**13), True)
    assert not signed_rank([1] * 14)[1]


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1]), ([], []), ([[1]], [[1]])])
def test_scans_must_match(first, second):
    with pytest.raises(InputError, match="give one per scan"):
        compare_paired(first, second)
