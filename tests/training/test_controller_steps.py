"""When a controller hears what was measured: before the update that answers it, or after."""

from pathlib import Path

import pytest

from support.runs import small, trained


def test_an_adaptive_coefficient_follows_the_kl_of_the_updates_before(tmp_path: Path) -> None:
    """As lm-human-preferences: rewards of a batch have the coefficient so far, its KL moves it afterwards."""
    rows = trained(small(tmp_path, "algorithm=ppo_adaptive_kl", "optimizer.lr=1e-2", "updates=4"))[2]
    coef = 0.2
    for row in rows:
        assert row["controller/kl_slope"] == pytest.approx(coef, rel=1e-6)
        error = min(max(row["kl/ref_seq_k1"] / 6.0 - 1, -0.2), 0.2)
        coef *= 1 + error * 8 / 10000
    assert rows[-1]["kl/ref_seq_k1"] > rows[0]["kl/ref_seq_k1"]


def test_heard_before_the_update_it_is_answered_at_once(tmp_path: Path) -> None:
    stepped = ("algorithm=ppo_adaptive_kl", "controller.step_every=rollout", "updates=1")
    (row,) = trained(small(tmp_path, *stepped))[2]
    assert row["controller/kl_slope"] == pytest.approx(0.2 * (1 - 0.2 * 8 / 10000), rel=1e-6)
