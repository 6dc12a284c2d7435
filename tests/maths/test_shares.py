import pytest
from scipy import stats

from safelab.maths.shares import wilson


@pytest.mark.parametrize(("wins", "count"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 9), (81, 263), (3000, 4000)])
def test_it_is_scipys(wins: int, count: int) -> None:
    theirs = stats.binomtest(wins, count).proportion_ci(method="wilson")
    assert wilson(wins / count, count) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_newcombes_worked_number() -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
