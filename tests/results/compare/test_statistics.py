import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from safelab.results.compare.statistics import (
    estimate,
    fisher_floor,
    fisher_p,
    holm,
    improvement,
    improvement_interval,
    interquartile_mean,
    proportion,
    sign_flip_floor,
    sign_flip_p,
    wilson,
)

REAL = st.floats(-100, 100, allow_subnormal=False)


def test_t_interval_by_hand() -> None:
    # mean 2, deviation 1, t(0.975, 2) = 4.302653: half width 4.302653 / sqrt(3)
    found = estimate([1.0, 2.0, 3.0])
    assert (found.n, found.mean, found.sd) == (3, 2.0, 1.0)
    assert found.low == pytest.approx(-0.484138, abs=1e-6)
    assert found.high == pytest.approx(4.484138, abs=1e-6)
    assert found.iqm is None


def test_one_run_has_no_interval_and_none_has_no_mean() -> None:
    one, none = estimate([0.7]), estimate([])
    assert (one.n, one.mean, one.low, one.high, one.sd) == (1, 0.7, None, None, None)
    assert (none.n, none.mean, none.low) == (0, None, None)


def test_interquartile_mean_by_hand() -> None:
    # Of 8 values 2 are cut at either end, of 10 as many; of 9 floor(9 / 4) = 2.
    assert interquartile_mean([100, 1, 2, 3, 4, 5, 6, -50]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interquartile_mean([9, 0, 1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(4.5)
    assert interquartile_mean([8, 0, 1, 2, 3, 4, 5, 6, 7]) == pytest.approx(4.0)


def test_interquartile_mean_comes_with_eight_runs() -> None:
    assert estimate([1.0] * 7).iqm is None
    assert estimate([1.0] * 8).iqm == 1.0


@pytest.mark.parametrize("n", [5, 10])
def test_t_interval_covers_at_its_level(n: int) -> None:
    data = np.random.default_rng(n).normal(0.3, 2.0, size=(2000, n))
    found = [estimate(row) for row in data]
    assert 0.93 < np.mean([e.low < 0.3 < e.high for e in found]) < 0.97


@pytest.mark.parametrize(("n", "high"), [(3, 0.708), (5, 0.522), (10, 0.308)])
def test_no_crash_bounds_the_rate_from_above_only(n: int, high: float) -> None:
    found = proportion(0, n)
    assert found.low == 0
    assert found.high == pytest.approx(high, abs=5e-4)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_is_beta_quantiles(case: tuple[int, int]) -> None:
    k, n = case
    found = proportion(k, n)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, k, n - k + 1) if k else 0, abs=1e-9)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1, abs=1e-9)


def test_no_runs_no_rate() -> None:
    assert (proportion(0, 0).low, proportion(0, 0).high) == (None, None)


def test_sign_flips_by_hand() -> None:
    # Sums of +-1 +-2 +-3: 6, 4, 2, 0, 0, -2, -4, -6. At least as far from 0 as 4 (= -1 + 2 + 3): four of eight.
    assert sign_flip_p([-1.0, 2.0, 3.0]) == 0.5
    assert sign_flip_p([1.0, 2.0, 3.0]) == 0.25
    assert sign_flip_p([0.0, 0.0]) == 1.0


@pytest.mark.parametrize(("n", "floor"), [(1, 1.0), (3, 0.25), (5, 0.0625), (10, 0.001953125)])
def test_sign_flip_has_a_floor(n: int, floor: float) -> None:
    assert sign_flip_floor(n) == floor
    assert sign_flip_p([1.0 + index for index in range(n)]) == floor


@pytest.mark.parametrize("n", [15, 16, 17, 18, 20, 40, 100])
def test_the_floor_is_what_the_test_reaches_however_many_pairs(n: int) -> None:
    floor = sign_flip_floor(n)
    assert sign_flip_p([1.0 + index for index in range(n)]) == floor
    assert floor >= 1 / 2**16, "of 65,536 patterns the observed one is one"
    # What no drawn pattern may fall below: any other differences.
    drawn = np.random.default_rng(n)
    assert all(sign_flip_p(drawn.normal(2.0, 1.0, n).tolist()) >= floor for _ in range(3))


@given(st.lists(REAL, min_size=2, max_size=7))
def test_sign_flip_is_scipys_permutation_test(differences: list[float]) -> None:
    oracle = stats.permutation_test(
        (np.array(differences),), np.sum, permutation_type="samples", n_resamples=10**6, alternative="two-sided"
    )
    assert sign_flip_p(differences) == pytest.approx(oracle.pvalue, abs=1e-9)


def test_many_pairs_are_sampled_near_the_exact_value() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1, 17)
    exact = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=2**17).pvalue
    assert sign_flip_p(list(differences)) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(list(differences)) == sign_flip_p(list(differences))


def test_improvement_by_hand() -> None:
    # 3 beats 1 and 2, 2 beats 1 and ties 2: (1 + 1 + 1 + 0.5) / 4
    assert improvement([3, 2], [1, 2]) == 0.875
    assert improvement([3, 2], [1, 2], higher_is_better=False) == 0.125


@given(st.lists(st.integers(0, 5), min_size=2, max_size=8), st.lists(st.integers(0, 5), min_size=2, max_size=8))
def test_improvement_is_mann_whitneys_u(left: list[int], right: list[int]) -> None:
    u = stats.mannwhitneyu(left, right).statistic
    assert improvement(left, right) == pytest.approx(u / (len(left) * len(right)), abs=1e-12)


def test_improvement_interval_has_width_even_where_one_arm_always_wins() -> None:
    low, high = improvement_interval(1.0, 3, 3)
    # t = 0.501: (1 - t)^2 = 0.2490 and 1.96^2 t (1 - t) (1 + 2 (0.499 / 1.499 + 0.501 / 1.501)) / 9 = 0.2490
    assert low == pytest.approx(0.5010, abs=1e-4)
    assert high == 1.0
    assert improvement_interval(0.0, 3, 3) == pytest.approx((0.0, 1 - low), abs=1e-6)


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0, 1))
def test_improvement_interval_holds_its_estimate(m: int, n: int, theta: float) -> None:
    low, high = improvement_interval(theta, m, n)
    assert 0 <= low <= theta + 1e-6
    assert theta - 1e-6 <= high <= 1
    mirrored = improvement_interval(1 - theta, m, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_improvement_interval_covers(shift: float) -> None:
    rng = np.random.default_rng(3)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    hits = []
    for _ in range(1000):
        theta = improvement(rng.normal(shift, 1, 5), rng.normal(0, 1, 5))
        low, high = improvement_interval(theta, 5, 5)
        hits.append(low <= truth <= high)
    assert np.mean(hits) > 0.93


def test_holm_by_hand() -> None:
    # 0.01 x 3, 0.02 x 2, 0.04 x 1; the third may not fall below the second
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.03, 0.011, 0.011]) == pytest.approx([0.033, 0.033, 0.033])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


@pytest.mark.parametrize(("n", "needed"), [(5, 4), (8, 5), (10, 5)])
def test_how_many_crashes_it_takes(n: int, needed: int) -> None:
    assert fisher_p(needed, n, 0, n) < 0.05
    assert fisher_p(needed - 1, n, 0, n) >= 0.05


@pytest.mark.parametrize(("n", "rate", "power"), [(5, 0.8, 0.7373), (10, 0.7, 0.9527), (10, 0.5, 0.6230)])
def test_power_of_the_crash_test_against_none(n: int, rate: float, power: float) -> None:
    """Against 0 of n the test finds what has at least 4 of 5 or 5 of 10: the binomial tail beyond, by hand."""
    found = sum(stats.binom.pmf(k, n, rate) for k in range(n + 1) if fisher_p(k, n, 0, n) < 0.05)
    needed = {5: 4, 10: 5}[n]
    by_hand = sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(needed, n + 1))
    assert found == pytest.approx(by_hand, abs=1e-9)
    assert found == pytest.approx(power, abs=5e-4)


def test_three_runs_can_never_show_a_difference_in_crashes() -> None:
    assert fisher_floor(3, 3) == pytest.approx(0.1)


def test_the_interval_of_shares_by_hand() -> None:
    # Mean 0.9, deviation 0.1, t(0.975, 2) = 4.302653: half width 0.248414, and 0.248414 / (0.9 x 0.1) = 2.760153 on the
    # logit's scale around log 9 = 2.197225: from -0.562928 to 4.957378.
    found = estimate([0.8, 0.9, 1.0], 0.0, 1.0)
    assert (found.low, found.high) == pytest.approx((0.362870, 0.993018), abs=1e-6)
    # The same numbers between -1 and 1, as differences of shares are: twice as far from the middle.
    twice = estimate([0.6, 0.8, 1.0], -1.0, 1.0)
    assert (twice.low, twice.high) == pytest.approx((2 * 0.362870 - 1, 2 * 0.993018 - 1), abs=2e-6)


def test_the_interval_of_what_is_not_negative_is_cut_there() -> None:
    plain, cut = estimate([0.0, 0.1, 0.4]), estimate([0.0, 0.1, 0.4], least=0.0)
    assert plain.low < 0
    assert (cut.low, cut.high) == (0.0, plain.high)
    assert estimate([-0.1, 0.1], least=0.0) == estimate([-0.1, 0.1]), "of values beyond, the bound is not theirs"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_an_interval_of_shares_never_leaves_them_and_holds_the_mean(values: list[float]) -> None:
    found = estimate(values, 0.0, 1.0)
    assert 0.0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1.0


@pytest.mark.parametrize("n", [3, 5, 10])
def test_an_interval_of_shares_covers_at_its_level(n: int) -> None:
    data = np.random.default_rng(n).beta(9, 1, size=(2000, n))
    found = [estimate(row, 0.0, 1.0) for row in data]
    assert 0.92 < np.mean([e.low < 0.9 < e.high for e in found]) < 0.99


@pytest.mark.parametrize(("wins", "n"), [(0, 5), (1, 1), (13, 16), (256, 256), (100, 256)])
def test_wilsons_interval_is_scipys(wins: int, n: int) -> None:
    found, theirs = wilson(wins, n), stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert found.mean == wins / n
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilsons_interval_by_hand_and_of_ties() -> None:
    # Newcombe 1998, table I: 81 of 263 has 0.2553 to 0.3662.
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    half, none = wilson(6.5, 8), wilson(0, 0)
    assert half.mean == 0.8125
    assert 0.4 < half.low < 0.8125 < half.high < 1.0
    assert (none.n, none.mean, none.low) == (0, None, None)


def test_values_near_the_largest_float_have_a_mean_and_no_interval_that_is_infinite() -> None:
    found = estimate([1e308, 1.5e308, 1.7e308])
    assert found.mean == pytest.approx(1.4e308)
    assert (found.low, found.high) == (None, None)
    assert estimate([1e308, 1e308]).low == pytest.approx(1e308)
