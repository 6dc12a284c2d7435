from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.results.compare.budget import budgets, keep
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load

from ..conftest import MakeRun


def array(*values: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array(values)


KL = array(0.1, 0.2, 0.3, 0.4, 0.9)
REWARD = array(0.2, 0.6, 0.4, 0.7, 0.9)
GOLD = array(1.0, 2.0, 3.0, 4.0, 5.0)


def test_by_hand() -> None:
    # A window of 1: within 0.3 the best reward is 0.6, at update 1, whose gold score is 2 (not the best one, 3).
    assert keep(KL, REWARD, GOLD, 0.3, 1) == {"reward": 0.6, "gold": 2.0}
    assert keep(KL, REWARD, GOLD, 0.4, 1) == {"reward": 0.7, "gold": 4.0}
    # Of 2: KL 0.15, 0.25, 0.35, 0.65 and reward 0.4, 0.5, 0.55, 0.8.
    found = keep(KL, REWARD, GOLD, 0.3, 2)
    assert (found["reward"], found["gold"]) == (pytest.approx(0.5), 2.5)


def test_a_run_that_is_never_within_the_budget_has_nothing() -> None:
    assert keep(KL, REWARD, GOLD, 0.05, 1) == {"reward": None, "gold": None}
    assert keep(KL, REWARD, None, 0.3, 1) == {"reward": 0.6, "gold": None}


def test_what_is_not_finite_is_never_kept() -> None:
    broken = array(0.2, np.nan, 0.4, np.inf, 0.9)
    assert keep(KL, broken, GOLD, 0.4, 1) == {"reward": 0.4, "gold": 3.0}
    assert keep(array(0.1, np.nan, 0.3, 0.4, 0.9), REWARD, GOLD, 0.3, 1) == {"reward": 0.4, "gold": 3.0}


SERIES = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=20)


@given(SERIES, st.floats(0, 3), st.integers(1, 4))
def test_it_is_the_best_of_a_search_through_all_updates(rows: list[tuple[float, float]], budget: float, w: int) -> None:
    windows = [rows[end - w : end] for end in range(w, len(rows) + 1)]
    means = [(sum(kl for kl, _ in part) / w, sum(r for _, r in part) / w) for part in windows]
    if any(abs(kl - budget) < 1e-9 for kl, _ in means):
        return  # the last bit of a mean decides
    allowed = [reward for kl, reward in means if kl <= budget]
    found = keep(array(*(kl for kl, _ in rows)), array(*(r for _, r in rows)), None, budget, w)
    assert found["reward"] == (pytest.approx(max(allowed), abs=1e-12) if allowed else None)


def test_a_reward_bought_with_kl_is_seen_through(make_run: MakeRun, tmp_path: Path) -> None:
    # Both gain alike per nat; "far" goes on to four times the KL, and so has the higher reward at the end.
    for seed in range(3):
        noise = 0.001 * seed
        climb = [0.4 + 0.01 * update + noise for update in range(20)]
        kl = [0.05 * update for update in range(20)]
        make_run("ppo", seed, rewards=climb[:10] + [climb[9]] * 10, columns={KL_NAME: kl[:10] + [kl[9]] * 10})
        make_run("far", seed, rewards=climb, columns={KL_NAME: kl})
    report = build_report(load([tmp_path]), Choices(baseline="ppo", window=2))
    final = next(row for row in report.comparisons if row.measure == "reward_final")
    assert final.difference.mean == pytest.approx(0.095)
    assert budgets(report.arms) == [0.45, 0.69, 0.93]  # final KL: 0.45, and the mean of 0.90 and 0.95, to two digits
    at = {row.kl: row.reward_difference.mean for row in report.equal_kl if row.arm == "far"}
    assert at[0.45] == pytest.approx(-0.005)  # its rolling mean passes the budget half a step before ppo stands still
    assert at[0.93] == pytest.approx(0.095)
    assert all(row.reward_difference.mean is None for row in report.equal_kl if row.arm == "ppo")


KL_NAME = "kl/ref_token_exact"
