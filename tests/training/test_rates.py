"""Learning rates that follow a schedule, in whole runs: online, offline, resumed, and after a rollback."""

import json
from pathlib import Path

import pytest

from safelab.errors import ConfigError
from safelab.training.rates import follow_updates
from support.pairs import offline
from support.runs import numbers, resolved, run, small, trained

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


@pytest.mark.parametrize("updates", [2, 5])
def test_a_run_of_another_length_is_refused_where_rates_fall_over_it(updates: int, tmp_path: Path) -> None:
    rates = ("algorithm=ppo", *LINEAR)
    run(small(tmp_path, *rates, "updates=3"))
    said = rf"\(updates: 3 there, {updates} now, over which the learning rates fall.*arm=.*'resume\.allow=\[updates\]'"
    with pytest.raises(ConfigError, match=said):
        run(small(tmp_path, *rates, f"updates={updates}"))


def test_a_run_whose_rates_fall_may_be_lengthened_by_name_and_says_so(tmp_path: Path) -> None:
    rates = ("algorithm=ppo", *LINEAR)
    run(small(tmp_path, *rates, "updates=3"))
    outcome, rows = run(small(tmp_path, *rates, "updates=5", "resume.allow=[updates]"))
    # 2e-3 (1 - u / 3), then 2e-3 (1 - u / 5): the rate rises from the third to the fourth.
    assert [row["policy/lr"] for row in rows] == pytest.approx([2e-3, 4e-3 / 3, 2e-3 / 3, 0.8e-3, 0.4e-3])
    events = [json.loads(line) for line in (outcome.directory / "events.jsonl").read_text().splitlines()]
    assert [event["changes"] for event in events if event["kind"] == "config_changed"] == [{"updates": [3, 5]}]


def test_a_run_of_constant_rates_is_lengthened_as_before(tmp_path: Path) -> None:
    rates = ("algorithm=ppo", *LINEAR[1:])
    run(small(tmp_path, *rates, "updates=2"))
    _, rows = run(small(tmp_path, *rates, "updates=3"))
    assert [row["policy/lr"] for row in rows] == pytest.approx([2e-3] * 3)


@pytest.mark.parametrize(("option", "follows"), [
    ("optimizer.schedule=constant", False), ("optimizer.schedule=linear", True),
])  # fmt: skip
def test_rates_follow_the_number_of_updates_where_there_is_a_schedule(option: str, follows: bool) -> None:
    assert follow_updates(resolved(option)["optimizer"]) is follows


def test_what_a_rollback_takes_off_stays_off(tmp_path: Path) -> None:
    # The first step overflows; the rollback brings the first rate to 1e-3.
    wild = ("guard=rollback", "optimizer.lr=1e30", "optimizer.critic_lr=1e-3", "guard.lr_factor=1e-33")
    _, rows = run(small(tmp_path, *wild, "optimizer.schedule=linear", "updates=2"))
    assert [row["policy/lr"] for row in rows] == pytest.approx([1e-3, 0.5e-3])
