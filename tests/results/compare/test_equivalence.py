"""Two one-sided tests: worked numbers, scipy's own tests as the oracle, and what the verdict may say."""

import math
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from safelab.results.compare.equivalence import Answer, against_runs, against_value, verdict
from safelab.results.estimates import Estimate

VALUES = [0.9, 1.0, 1.1]
numbers = st.floats(-10, 10).map(lambda value: round(value, 3))


def test_one_sample_worked_by_hand() -> None:
    # m = 1, s = 0.1, error 0.1 / sqrt 3 = 0.057735; of two degrees, P(T > t) = (1 - t / sqrt(2 + t^2)) / 2.
    found = against_value(VALUES, 0.95, -0.3, 0.3)
    error = 0.1 / math.sqrt(3)
    upper, lower = (0.3 - 0.05) / error, (0.3 + 0.05) / error
    assert found.difference.mean == pytest.approx(0.05, abs=1e-12)
    assert found.p_equivalent == pytest.approx((1 - upper / math.sqrt(2 + upper**2)) / 2, abs=1e-12)
    assert upper < lower  # the nearer bound decides
    t = 0.05 / error
    assert found.p_different == pytest.approx(1 - t / math.sqrt(2 + t**2), abs=1e-12)
    assert found.difference.high == pytest.approx(0.05 + 4.302652729911275 * error, abs=1e-9)


def test_welch_worked_by_hand() -> None:
    # Both sides s = 0.1, n = 3: e^2 = 0.02 / 3, and four degrees, of which the 97.5 % point is 2.776445.
    found = against_runs(VALUES, 0.8, 0.1, 3, None, None)
    error = math.sqrt(0.02 / 3)
    assert found.difference.mean == pytest.approx(0.2, abs=1e-12)
    assert found.difference.high == pytest.approx(0.2 + 2.7764451051977987 * error, abs=1e-9)
    assert found.p_equivalent is None


@given(st.lists(numbers, min_size=2, max_size=8), numbers, st.floats(0.01, 5))
def test_one_sample_is_scipys(values: list[float], published: float, margin: float) -> None:
    assume(max(values) - min(values) > 0.01)
    found = against_value(values, published, -margin, margin)
    above = stats.ttest_1samp(values, published - margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, published + margin, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(max(above, below), abs=1e-9)
    whole = stats.ttest_1samp(values, published)
    assert found.p_different == pytest.approx(whole.pvalue, abs=1e-9)
    bounds = whole.confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (bounds.low - published, bounds.high - published), abs=1e-7
    )


@given(st.lists(numbers, min_size=2, max_size=8), st.lists(numbers, min_size=2, max_size=8), st.floats(0.01, 5))
def test_welch_is_scipys(values: list[float], theirs: list[float], margin: float) -> None:
    assume(max(values) - min(values) > 0.01)
    published, sd = statistics.fmean(theirs), statistics.stdev(theirs)
    found = against_runs(values, published, sd, len(theirs), -margin, margin)
    lower, upper = [one - margin for one in theirs], [one + margin for one in theirs]
    above = stats.ttest_ind(values, lower, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(values, upper, equal_var=False, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(max(above, below), abs=1e-7)
    assert found.p_different == pytest.approx(stats.ttest_ind(values, theirs, equal_var=False).pvalue, abs=1e-7)


def test_equivalence_is_the_90_percent_interval_within_the_margin() -> None:
    half = float(stats.t.ppf(0.95, 2)) * 0.1 / math.sqrt(3)
    within, beyond = half * 1.001, half * 0.999
    assert verdict(against_value(VALUES, 1.0, -within, within)) == "equivalent"
    assert verdict(against_value(VALUES, 1.0, -beyond, beyond)) == "not decided"


@pytest.mark.parametrize(
    ("p_different", "p_equivalent", "said"),
    [
        (0.5, 0.01, "equivalent"),
        (0.01, 0.01, "equivalent"),  # a difference, and one within the margin
        (0.01, 0.5, "different"),
        (0.01, None, "different"),
        (0.5, 0.5, "not decided"),
        (0.5, None, "not decided"),  # no difference found is no equivalence
        (None, None, "not tested"),
    ],
)
def test_the_verdict_never_claims_more(p_different: float | None, p_equivalent: float | None, said: str) -> None:
    answer = Answer(difference=Estimate(n=3, mean=0.0), p_different=p_different, p_equivalent=p_equivalent)
    assert verdict(answer) == said


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0, 1.0], [0.1 + 0.2, 0.3], [1.0, math.inf], []])
def test_without_a_deviation_there_is_no_test(values: list[float]) -> None:
    found = against_value(values, 0.5, -10.0, 10.0)
    assert (found.p_different, found.p_equivalent, found.difference.low) == (None, None, None)
    assert verdict(found) == "not tested"


def test_one_run_of_ours_is_no_test_whatever_they_published() -> None:
    found = against_runs([1.0], 0.5, 0.1, 4, -10.0, 10.0)
    assert verdict(found) == "not tested"
    assert found.difference == Estimate(n=1, mean=0.5)


def test_runs_of_ours_that_agree_are_tested_by_the_deviation_of_theirs() -> None:
    found = against_runs([1.0, 1.0, 1.0], 1.0, 0.1, 4, -0.5, 0.5)
    oracle = stats.ttest_ind_from_stats(1.0, 0.0, 3, 1.5, 0.1, 4, equal_var=False, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(oracle, abs=1e-12)
    assert verdict(found) == "equivalent"
