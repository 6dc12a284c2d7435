"""A reference that follows the policy: by worked numbers, what is held to it, what stays, and that it is kept."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch

from safelab.contracts import CausalModel, MovingReference, Policy
from safelab.errors import ConfigError
from safelab.results.replay.steps import replay, run_signals
from safelab.training import rollouts, stages
from safelab.training.lifecycle import recovery
from safelab.training.loop import train_update
from safelab.training.moving import follow, held_to, moving_metrics
from safelab.training.rewards import score_rewards
from safelab.training.state import initial_state
from support import toy
from support.controllers import part
from support.runs import numbers, parts_of, run, small, trained

MOVING = ("algorithm=ema_pg", "controller.route.k=3", "controller.reference.every=2", "optimizer.lr=1e-2")
HELD = ("algorithm=grpo", "controller/route=loss_exact", "controller.coefficient.value=0.5", "optimizer.lr=1e-2")


def row_without_anchor(rows: list[dict]) -> list[dict]:
    return numbers(rows, lambda name: "anchor" in name)


def test_one_move_by_worked_numbers() -> None:
    policy = torch.tensor([0.6, 0.3, 0.85, 0.3, 0.02], dtype=torch.float64)
    start = torch.tensor([0.45, 0.25, 0.8, 0.35, 0.2], dtype=torch.float64)
    moving = MovingReference(
        model=create_autospec(CausalModel, instance=True),
        weights={"z": start.logit()},
        policy={"z": policy.logit()},
        start={"z": start.logit()},
    )
    parts = toy.parts(
        policy=SimpleNamespace(moving=moving),
        controller=SimpleNamespace(reference=part("reference", "moving", decay=0.9, every=3)),
    )
    for updates in (1, 2):
        follow(parts, updates)
    assert torch.equal(moving.weights["z"], start.logit())
    follow(parts, 3)
    reference = moving.weights["z"].sigmoid()
    expected = torch.tensor([0.465043, 0.254742, 0.805515, 0.344825, 0.162895], dtype=torch.float64)
    torch.testing.assert_close(reference, expected, atol=1e-6, rtol=0)
    assert (policy / start).log().mean().item() == pytest.approx(-0.385222, abs=1e-6)
    assert (policy / reference).log().mean().item() == pytest.approx(-0.352908, abs=1e-6)
    away = (policy.logit() - start.logit()).norm().item()
    found = moving_metrics(parts.policy)
    assert found["policy/anchor_distance"].item() == pytest.approx(0.9 * away)
    assert found["policy/anchor_moved"].item() == pytest.approx(0.1 * away)


def test_one_that_has_not_moved_changes_no_number(tmp_path: Path) -> None:
    frozen = trained(small(tmp_path, *HELD, "updates=4"))[2]
    still = trained(
        small(tmp_path, *HELD, "updates=4", "controller/reference=moving", "controller.reference.every=99")
    )[2]
    assert row_without_anchor(still) == row_without_anchor(frozen)
    assert [row["kl/anchor_token_exact"] for row in still] == [row["kl/ref_token_exact"] for row in frozen]
    assert [row["policy/anchor_moved"] for row in still] == [0.0] * 4
    assert not any("anchor" in name for name in frozen[0])


def test_the_kl_to_the_start_is_told_still_where_it_is_reset_each_time(tmp_path: Path) -> None:
    reset = ("controller/reference=moving", "controller.reference.decay=0", "controller.reference.every=1")
    rows = trained(small(tmp_path, *HELD, *reset, "updates=5"))[2]
    assert [row["kl/anchor_token_exact"] for row in rows] == pytest.approx([0.0] * 5, abs=1e-9)
    assert [row["policy/anchor_distance"] for row in rows] == [0.0] * 5
    assert rows[-1]["kl/ref_token_exact"] > 0.01
    assert rows[-1]["policy/anchor_moved"] > rows[1]["policy/anchor_moved"] > 0
    # What the controller heard is what holds: a penalty at a KL of 0.
    assert [row["controller/penalty"] for row in rows] == pytest.approx([0.0] * 5, abs=1e-9)


def test_a_replay_hears_what_the_controller_heard(tmp_path: Path) -> None:
    config = small(tmp_path, *HELD, "controller/reference=moving", "controller.reference.every=1", "updates=4")
    outcome, rows = run(config)
    again = replay(parts_of(config).controller, run_signals(outcome.directory))
    assert [row["controller/penalty"] for row in rows] == [row["penalty"] for row in again]
    assert rows[-1]["controller/penalty"] == pytest.approx(0.5 * rows[-1]["kl/anchor_token_exact"])
    assert rows[-1]["kl/anchor_token_exact"] != rows[-1]["kl/ref_token_exact"]


def test_losses_and_controller_see_the_moving_one_and_scores_keep_both(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *HELD, "controller/reference=moving", "controller.reference.every=2"))
    state = initial_state(parts)
    for _ in range(3):
        state = train_update(parts, state).state
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), "test", 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    inputs = (rollout.prompts.ids, rollout.prompts.mask, rollout.ids, rollout.mask)
    told = {}
    with torch.no_grad():
        logp = parts.policy.model.log_probs(parts.policy.model.hidden(*inputs)[:, :-1]).double()
        for name, model in (("frozen", parts.policy.reference), ("moving", held_to(parts.policy))):
            logp_ref = model.log_probs(model.hidden(*inputs)[:, :-1]).double()
            told[name] = (logp.exp() * (logp - logp_ref)).sum(-1)[rollout.mask].mean().item()
    assert abs(told["frozen"] - told["moving"]) > 1e-3
    assert stages.observe(scored).kl_ref_token_exact == pytest.approx(told["frozen"], abs=1e-5)
    assert stages.observe(scored.for_training).kl_ref_token_exact == pytest.approx(told["moving"], abs=1e-5)
    batch = stages.make_batch(parts, scored, scored.reward_seq, toy.plan(0.5))
    assert torch.equal(batch.logp_ref_tok, scored.logp_moving_tok)


def test_a_rollback_brings_it_back_to_the_bit(tmp_path: Path) -> None:
    moves = (*MOVING, "controller.reference.every=1", "guard=rollback")
    outcome, _ = run(small(tmp_path, *moves, "checkpoint.every=2", "updates=4"))
    parts = parts_of(small(tmp_path, *moves))
    state, kept = initial_state(parts), []
    for _ in range(4):
        state = train_update(parts, state).state
        kept.append({name: weight.clone() for name, weight in parts.policy.moving.weights.items()})
    recovery.roll_back(parts, state, outcome.directory / "checkpoints" / "update_000002", 4, "test")
    names = [name for name, weight in parts.policy.moving.weights.items() if not torch.equal(weight, kept[3][name])]
    assert names
    assert all(torch.equal(weight, kept[1][name]) for name, weight in parts.policy.moving.weights.items())


def test_a_policy_of_ones_own_without_a_second_reference_is_refused() -> None:
    class Mine(SimpleNamespace):
        pass

    with pytest.raises(ConfigError, match=r"that has no have_moving, got moving for Mine"):
        Policy.have_moving(Mine())
