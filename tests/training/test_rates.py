"""Learning rates that follow a schedule, in whole runs: online, offline, resumed, and after a rollback."""

import json
from pathlib import Path

import pytest

from support.pairs import offline
from support.runs import numbers, run, small, trained

LINEAR = ("optimizer.schedule=linear", "optimizer.lr=2e-3", "optimizer.critic_lr=4e-3")


def test_both_rates_fall_with_the_updates(tmp_path: Path) -> None:
    _, state, rows = trained(small(tmp_path, "algorithm=ppo", *LINEAR, "updates=4"))
    assert [row["policy/lr"] for row in rows] == pytest.approx([2e-3, 1.5e-3, 1e-3, 0.5e-3])
    assert state.optimizers.critic is not None
    assert state.optimizers.critic.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_the_first_update_is_that_of_a_constant_rate_and_the_second_is_not(tmp_path: Path) -> None:
    rate = ("optimizer.lr=2e-3", "optimizer.critic_lr=4e-3")
    constant, linear = (
        numbers(trained(small(tmp_path, "algorithm=ppo", *rate, f"optimizer.schedule={schedule}"))[2])
        for schedule in ("constant", "linear")
    )
    assert linear[:1] == constant[:1]
    assert linear[2]["kl/ref_token_exact"] != constant[2]["kl/ref_token_exact"]


def test_pairs_are_learnt_from_at_the_same_rates(tmp_path: Path) -> None:
    rows = trained(offline(tmp_path, "algorithm=dpo", *LINEAR[:2], "updates=2"))[2]
    assert [row["policy/lr"] for row in rows] == pytest.approx([2e-3, 1e-3])


def test_a_resumed_run_has_the_rates_of_an_uninterrupted_one(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    settings = ("algorithm=ppo", *LINEAR, "checkpoint.every=1", "updates=4")
    _, whole = run(small(tmp_path / "whole", *settings))
    outcome, _ = run(small(tmp_path / "cut", *settings))
    for update in (3, 4):  # as a kill after the third update's checkpoint was lost leaves it
        checkpoint = outcome.directory / "checkpoints" / f"update_{update:06d}"
        checkpoint.rename(checkpoint.with_name(f"thrown_away_{update}"))
    info = json.loads((outcome.directory / "run.json").read_text())
    (outcome.directory / "run.json").write_text(json.dumps({**info, "status": "running"}))
    _, rows = run(small(tmp_path / "cut", *settings))
    assert numbers(rows) == numbers(whole)


def test_what_a_rollback_takes_off_stays_off(tmp_path: Path) -> None:
    # The first step overflows; the rollback brings the first rate to 1e-3.
    wild = ("guard=rollback", "optimizer.lr=1e30", "optimizer.critic_lr=1e-3", "guard.lr_factor=1e-33")
    _, rows = run(small(tmp_path, *wild, "optimizer.schedule=linear", "updates=2"))
    assert [row["policy/lr"] for row in rows] == pytest.approx([1e-3, 0.5e-3])
