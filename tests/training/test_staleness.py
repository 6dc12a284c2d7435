"""Rollouts that are trained on later than they were written, and several responses to one prompt."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.training import rollouts, stages
from safelab.training.lifecycle import checkpoint
from safelab.training.loop import train_update
from safelab.training.rewards import score_rewards
from safelab.training.state import initial_state
from support.objectives import current
from support.runs import numbers, parts_of, run, small, trained

FAST = ("algorithm=ppo_matched", "optimizer.lr=1e-2")


def test_a_fresh_rollout_is_scored_by_its_own_writer(tmp_path: Path) -> None:
    rows = trained(small(tmp_path, *FAST))[2]
    assert all("kl/rollout_token_k3" not in row for row in rows)


def test_the_first_rollouts_are_the_starting_policys(tmp_path: Path) -> None:
    """At a lag of 2 the updates 0, 1 and 2 meet what a policy that never moved would have written, and 3 does not."""
    lagging = trained(small(tmp_path, *FAST, "rollout.staleness=2", "updates=4"))[2]
    still = trained(small(tmp_path, *FAST, "optimizer.lr=1e-12", "optimizer.critic_lr=1e-12", "updates=4"))[2]
    rewards = [[row["reward/mean"] for row in rows] for rows in (lagging, still)]
    assert rewards[0][:3] == rewards[1][:3]
    assert rewards[0][3] != rewards[1][3]


def test_the_writers_log_probabilities_are_kept(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *FAST, "rollout.staleness=1"))
    state = initial_state(parts)
    first = train_update(parts, state)
    assert first.row["kl/rollout_token_k3"] == pytest.approx(0.0, abs=1e-9)
    second = train_update(parts, first.state)
    assert second.row["kl/rollout_token_k3"] > 1e-4
    assert len(second.state.pending) == 1


def test_the_anchor_decides_where_a_stale_ratio_starts(tmp_path: Path) -> None:
    """Anchored to the sampler, the first pass over stale data has ratios off 1; anchored to the old policy, none."""
    parts = {
        anchor: parts_of(small(tmp_path, "algorithm=cispo", "rollout.staleness=1", f"objective.anchor={anchor}"))
        for anchor in ("rollout", "old")
    }
    for anchor, made in parts.items():
        state, rollout = rollouts.next_rollout(made, initial_state(made))
        shifted = replace(rollout, logp_rollout_tok=rollout.logp_rollout_tok - 0.1)
        scored = stages.score_tokens(made, shifted, *score_rewards(made, shifted))
        batch = stages.make_batch(made, scored, scored.reward_seq, made.controller.plan(state.controller))
        answer = made.objective.loss(made.objective.init(), current(scored.logp_old_tok), batch)
        weight = answer.metrics_tok["weight"]
        expected = 1.0 if anchor == "old" else torch.tensor(0.1).exp().item()
        assert torch.allclose(weight[batch.mask], torch.full_like(weight[batch.mask], expected), atol=1e-4)


STALE = ("algorithm=cispo", "optimizer.lr=1e-2", "rollout.staleness=2", "objective.anchor=old", "updates=6")


def test_a_correction_weighs_stale_tokens_as_the_two_policies_say(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *STALE, "correction=truncate", "correction.cap=1.01"))
    state = initial_state(parts)
    for _ in range(4):
        state = train_update(parts, state).state
    state, rollout = rollouts.next_rollout(parts, state)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    batch = stages.make_batch(parts, scored, scored.reward_seq, parts.controller.plan(state.controller))
    ratio_tok = (scored.logp_old_tok - rollout.logp_rollout_tok).exp()
    assert torch.allclose(batch.weight_tok[batch.mask], ratio_tok.clamp(max=1.01)[batch.mask])
    assert torch.equal(batch.corrected_tok[batch.mask], (ratio_tok > 1.01)[batch.mask])
    assert 0 < batch.corrected_tok[batch.mask].sum() < batch.mask.sum()
    half = batch.rows(torch.tensor([5, 2]))
    assert torch.equal(half.weight_tok, batch.weight_tok[[5, 2]])


def test_a_corrected_run_says_what_it_corrected_and_differs_once_policies_do(tmp_path: Path) -> None:
    plain = trained(small(tmp_path, *STALE))[2]
    corrected = trained(small(tmp_path, *STALE, "correction=truncate", "correction.cap=1.01"))[2]
    for row in corrected:
        assert 0.0 <= row["correction/corrected_share"] <= 1.0
        assert row["kl/rollout_token_abs"] >= 0.0
    assert corrected[0]["correction/corrected_share"] == 0.0  # the starting policy's own, but for rounding
    assert corrected[4]["correction/corrected_share"] > 0.0
    assert corrected[4]["kl/rollout_token_abs"] > 0.01
    assert [row["reward/mean"] for row in plain][:3] == [row["reward/mean"] for row in corrected][:3]
    assert plain[-1]["policy/loss"] != corrected[-1]["policy/loss"]
    assert not any("correction/weight_mean" in row for row in plain)


def test_a_fresh_rollout_has_nothing_to_correct(tmp_path: Path) -> None:
    settings = ("algorithm=cispo", "objective.anchor=old")
    plain, asked = (trained(small(tmp_path, *settings, *more))[2] for more in ((), ("correction=mask",)))
    assert numbers(plain) == numbers(asked)


@pytest.mark.parametrize("algorithm", ["ppo_matched", "r2vpo", "remax", "bapo", "otb"])
def test_a_resumed_stale_run_is_the_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    settings = [f"algorithm={algorithm}", "optimizer.lr=1e-2", "rollout.staleness=2", "checkpoint.every=1"]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole, first = small(tmp_path / "a", *settings, "updates=6"), small(tmp_path / "b", *settings, "updates=3")
    assert run(first)[0].status == "finished"
    outcome, rows = run({**first, "updates": 6})
    assert outcome.status == "finished"
    expected = run(whole)[1]
    assert numbers(rows) == numbers(expected)
    assert [row["update"] for row in rows] == list(range(6))


def test_waiting_rollouts_come_back_from_a_checkpoint_to_the_bit(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=remax", "rollout.staleness=2"))
    state = train_update(parts, initial_state(parts)).state
    path = checkpoint.save(parts, state, tmp_path / "checkpoints", "", {})
    back = checkpoint.load(parts, initial_state(parts), path)
    assert len(back.pending) == len(state.pending) == 2
    for mine, theirs in zip(back.pending, state.pending, strict=True):
        assert (mine.responses, mine.prompts.texts) == (theirs.responses, theirs.prompts.texts)
        assert mine.greedy.responses == theirs.greedy.responses
        assert torch.equal(mine.logp_rollout_tok, theirs.logp_rollout_tok)
        assert torch.equal(mine.ids, theirs.ids)
    assert json.loads((path / "state.json").read_text())["counters"]["cursor"] == 24


def test_several_responses_to_a_prompt_are_one_group(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=grpo", "rollout.batch_size=8"))
    state, rollout = rollouts.next_rollout(parts, initial_state(parts))
    assert rollout.prompts.group_seq.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert len(set(rollout.prompts.texts[:4])) == 1
    assert rollout.prompts.texts[0] != rollout.prompts.texts[4]
    assert len(set(rollout.responses)) > 2, "the responses differ"
    assert state.counters.cursor == 2
