from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from safelab.maths.balanced_bounds import Search, balance, balanced_bounds

PAPER = Search(
    form="paper",
    contribution="surrogate",
    target=0.4,
    low_start=0.6,
    low_limit=0.9,
    low_step=0.02,
    high_start=1.2,
    high_limit=3.0,
    high_step=0.05,
)
CODE = replace(PAPER, form="authors_code", target=1.0, low_limit=0.8, low_step=0.05, high_limit=2.0)
RATIO = torch.tensor([1.2, 1.5, 0.944444, 0.75, 0.2])
ADVANTAGE = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0])
PROB = torch.tensor([0.5, 0.2, 0.9, 0.4, 0.1])


def at(search: Search, low: float, high: float = 1.2) -> float:
    return balance(search, RATIO, ADVANTAGE, PROB, low, high)


def test_worked_measures() -> None:
    assert at(PAPER, 0.6) == pytest.approx(0.824390, abs=1e-6)
    for low, expected in ((0.6, 2.477366), (0.7, 2.306513), (0.8, 2.090278)):
        assert at(CODE, low) == pytest.approx(expected, abs=1e-5)


def test_raising_the_lower_bound_lowers_the_surrogate_measure_and_raises_the_active_one() -> None:
    active = replace(CODE, contribution="active")
    assert at(CODE, 0.6) > at(CODE, 0.7) > at(CODE, 0.8)
    # Live losses: 0.75 at both of the first bounds (the ratio 0.2 is stopped), none at 0.8.
    assert at(active, 0.6) == at(active, 0.7) == pytest.approx((1.2 + 0.944444) / 0.75, abs=1e-5)
    assert at(active, 0.8) == float("inf")


def test_the_search_stops_at_the_first_bounds_that_do() -> None:
    found = balanced_bounds(replace(PAPER, target=0.826), RATIO, ADVANTAGE, PROB)
    # Gains are 0.6 + 0.2 high + 0.85 while the ratio 1.5 is bounded: 1.70 at 1.25, 1.71 at 1.30. Losses are 0.36.
    assert (found.low, found.high) == (pytest.approx(0.6), pytest.approx(1.3))
    assert found.balance == pytest.approx(1.71 / 2.07, abs=1e-6)


def test_each_form_has_its_own_order() -> None:
    unreachable = 1e9
    for search, limits in ((PAPER, (0.9, 3.0)), (CODE, (0.8, 2.0))):
        found = balanced_bounds(replace(search, target=unreachable), RATIO, ADVANTAGE, PROB)
        assert (found.low, found.high) == (pytest.approx(limits[0]), pytest.approx(limits[1]))
    losses = -torch.ones(5)
    half = balanced_bounds(replace(CODE, target=0.5), RATIO, torch.cat([ADVANTAGE[:1], losses[1:]]), PROB)
    assert half.low == pytest.approx(0.8), "as in the code, the lower bound goes to its limit first"


def test_nothing_but_gains_needs_no_search() -> None:
    found = balanced_bounds(CODE, RATIO, torch.ones(5), PROB)
    assert (found.low, found.high, found.balance) == (0.6, 1.2, float("inf"))


def measure_by_hand(search: Search, tokens: list[tuple[float, float, float]], low: float, high: float) -> float:
    """The docstring's two measures, token by token: (ratio, advantage, probability)."""
    gains = losses = 0.0
    for ratio, advantage, prob in tokens:
        weight = prob if search.form == "paper" else 1.0
        if advantage > 0 and (search.contribution == "surrogate" or ratio <= high):
            gains += weight * min(ratio, high) * advantage
        if advantage < 0 and (search.contribution == "surrogate" or ratio >= low):
            losses += weight * max(ratio, low) * -advantage
    if search.form == "paper":
        return gains / (gains + losses) if gains + losses > 0 else 1.0
    return gains / losses if losses > 0 else float("inf")


def search_by_hand(search: Search, tokens: list[tuple[float, float, float]]) -> tuple[float, float, bool]:
    """Every pair of bounds on the grid is measured, and of those that do, the first in the form's order is taken.

    Without one, both bounds are at their limits. The last value: whether rounding may decide, as a measure is so near.
    """
    lows, highs = ([start + step * index for index in range(count)] for start, step, count in GRID)
    grid = {(i, j): measure_by_hand(search, tokens, low, high)
            for i, low in enumerate(lows) for j, high in enumerate(highs)}  # fmt: skip
    last = (len(lows) - 1, len(highs) - 1)
    if search.form == "paper":  # the upper bound first, the lower one once that is at its limit
        order = sorted(pair for pair in grid if pair[0] == 0 or pair[1] == last[1])
    else:
        order = sorted((pair for pair in grid if pair[1] == 0 or pair[0] == last[0]), key=lambda pair: pair[::-1])
    near = any(abs(value - search.target) < 1e-9 for value in grid.values())
    i, j = next((pair for pair in order if grid[pair] >= search.target), last)
    return lows[i], highs[j], near


GRID = ((0.5, 0.1, 4), (1.25, 0.25, 5))
"""Start, step and number of values of the lower and of the upper bound."""

TOKEN = st.tuples(st.floats(0.05, 3.0), st.floats(-2.0, 2.0), st.floats(0.01, 1.0))


@pytest.mark.parametrize("form", ["paper", "authors_code"])
@pytest.mark.parametrize("contribution", ["surrogate", "active"])
@given(tokens=st.lists(TOKEN, min_size=1, max_size=8), target=st.floats(0.05, 2.0))
def test_the_search_finds_what_an_exhaustive_one_does(form, contribution, tokens, target) -> None:
    search = Search(
        form=form, contribution=contribution, target=target / 2 if form == "paper" else target,
        low_start=0.5, low_limit=0.8, low_step=0.1, high_start=1.25, high_limit=2.25, high_step=0.25,
    )  # fmt: skip
    low, high, near = search_by_hand(search, tokens)
    assume(not near)
    found = balanced_bounds(search, *torch.tensor(tokens, dtype=torch.float64).T)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.balance == pytest.approx(measure_by_hand(search, tokens, found.low, found.high), rel=1e-9)
