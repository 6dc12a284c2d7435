"""The loop as a whole, on a policy of two thousand weights: the properties that a stability study rests on."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from safelab.errors import RunFailed
from safelab.training import rollouts, stages
from safelab.training.components import Components
from safelab.training.loop import train_update
from safelab.training.losses import counts, loss_terms
from safelab.training.rewards import score_greedy, score_rewards
from safelab.training.state import initial_state
from safelab.types import Plan, TrainBatch
from support.runs import algorithms, numbers, parts_of, small, trained

ALGORITHMS = algorithms(offline=False)
# Released arms read the last column and average entropy over padding, faults and all.
RELEASED = {name for name in ALGORITHMS if name.endswith("_released")}
# Objectives that want a minibatch in one piece, and would be refused otherwise.
WHOLE = {"bapo", "clip_cov", "kl_cov", "frpo", "grpo_guard"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_starts_sane_and_stays_finite(algorithm: str, tmp_path: Path) -> None:
    _, state, rows = trained(small(tmp_path, f"algorithm={algorithm}"))
    assert [row["update"] for row in rows] == [0, 1, 2]
    # With dynamic sampling those of further rollouts besides.
    assert state.counters.episodes == 24 + 8 * sum(row.get("rollout/further", 0) for row in rows)
    assert abs(rows[0]["kl/ref_token_exact"]) < 1e-6
    assert abs(rows[0]["kl/ref_token_k1"]) < 1e-5
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert all(row["crash/reward"] in (0, 1) for row in rows)


@pytest.mark.parametrize("algorithm", ["safe", "ppo"])
def test_same_seed_same_numbers(algorithm: str, tmp_path: Path) -> None:
    config = small(tmp_path, f"algorithm={algorithm}")
    first = numbers(trained(config)[2])
    torch.manual_seed(123)
    torch.randn(7)
    assert numbers(trained(config)[2]) == first
    assert numbers(trained({**config, "seed": 1})[2]) != first


def test_safe_with_its_parts_off_is_ppo_bit_for_bit(tmp_path: Path) -> None:
    off = ["critic=single", "critic.read_at=prompt_end", "controller=none", "critic.layer_norm=true"]
    same = ["critic.value_loss=huber", "critic.value_clip=sum", "critic.coef=0.5"]
    ppo = small(tmp_path, "algorithm=ppo_matched", "controller=none")
    safe = small(tmp_path, "algorithm=safe", *off, *same)
    ppo_parts, _, ppo_rows = trained(ppo)
    safe_parts, _, safe_rows = trained(safe)
    assert numbers(safe_rows) == numbers(ppo_rows)
    pairs = zip(safe_parts.policy.module.parameters(), ppo_parts.policy.module.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_the_released_penalty_moves_no_weight_and_ours_does(tmp_path: Path) -> None:
    strong = ["controller.coefficient.value=100", "controller/threshold=fixed", "controller.threshold.base=0.0"]

    def weights(*overrides: str) -> torch.Tensor:
        parts, _, rows = trained(small(tmp_path, *overrides, "optimizer.lr=1e-2"))
        assert any(row["controller/penalty"] > 0 for row in rows) or "controller=none" in overrides
        return torch.cat([weight.detach().flatten() for weight in parts.policy.module.parameters()])

    # The released stack with a penalty of hundreds, and without any.
    with_penalty = weights("algorithm=safe_released", *strong)
    assert torch.equal(with_penalty, weights("algorithm=safe_released", "controller=none"))
    assert not torch.equal(with_penalty, weights("algorithm=safe_released", *strong, "controller/route=loss_exact"))


@pytest.mark.parametrize("route", ["loss_exact", "loss_k2", "loss_k3", "ratio_k1", "reward"])
def test_every_route_holds_the_policy_near_the_reference(route: str, tmp_path: Path) -> None:
    def last_kl(coef: float) -> float:
        overrides = ["algorithm=ppo_matched", f"controller/route={route}", f"controller.coefficient.value={coef}"]
        rows = trained(small(tmp_path, *overrides, "updates=12", "optimizer.lr=3e-3", "rollout.batch_size=16"))[2]
        return float(rows[-1]["kl/ref_token_exact"])

    assert last_kl(5.0) < 0.7 * last_kl(0.0)


def test_it_learns_to_emit_a_given_token(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=ppo_matched", "updates=40", "optimizer.lr=3e-3", "rollout.batch_size=32")
    rows = trained(config)[2]
    assert rows[0]["reward/mean"] < 0.3
    assert rows[-1]["reward/mean"] > 0.9


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - WHOLE))
def test_accumulation_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, f"algorithm={algorithm}"))
    batch, plan = first_batch(parts)
    whole = gradients(parts, [batch], batch, plan)
    cut = 4 if "groups_together" in parts.objective.needs else 3
    pieces = gradients(parts, [batch.rows(rows) for rows in (slice(0, cut), slice(cut, None))], batch, plan)
    assert torch.allclose(whole, pieces, atol=1e-5)
    assert whole.norm() > 1e-3


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - {"clip_cov"}))
def test_the_order_of_sequences_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, f"algorithm={algorithm}"))
    batch, plan = first_batch(parts)
    turned = batch.rows(torch.arange(len(batch)).flip(0))
    assert torch.allclose(gradients(parts, [batch], batch, plan), gradients(parts, [turned], batch, plan), atol=1e-5)


@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - RELEASED))
def test_padding_changes_no_gradient(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, f"algorithm={algorithm}"))
    batch, plan = first_batch(parts)
    wider = padded(batch, 3, parts.critic.grain == "token")
    assert torch.allclose(gradients(parts, [batch], batch, plan), gradients(parts, [wider], batch, plan), atol=1e-5)


def first_batch(parts: Components) -> tuple[TrainBatch, Plan]:
    """The training data of update 0, and a plan whose penalty slopes."""
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    plan = replace(parts.controller.plan(parts.controller.init()), kl_coef=0.5)
    rewards = torch.linspace(0, 1, len(scored.reward_seq))  # all different, whatever was written
    return stages.make_batch(parts, scored, rewards, plan, score_greedy(parts, rollout)), plan


def gradients(parts: Components, pieces: list[TrainBatch], whole: TrainBatch, plan: Plan) -> torch.Tensor:
    """The gradient of the loss in policy and critic, flat, added up over ``pieces`` of ``whole``."""
    modules = (parts.policy.module, parts.critic.module)
    for module in modules:
        module.zero_grad()
    for piece in pieces:
        loss_terms(parts, plan, piece, counts(whole), objective=parts.objective.init()).total.backward()
    trained = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    return torch.cat([weight.grad.flatten() for weight in trained])


def padded(batch: TrainBatch, columns: int, per_token: bool) -> TrainBatch:
    """The same responses with more padding behind them, full of numbers that must not matter."""

    def wider(x: torch.Tensor, value: float) -> torch.Tensor:
        return torch.cat([x, torch.full_like(x[:, :1], value).expand(-1, columns, *x.shape[2:])], dim=1)

    scores = ("logp_rollout_tok", "logp_old_tok", "logp_ref_tok", "advantage_tok")
    grown = {name: wider(getattr(batch, name), 7.0) for name in scores}
    if batch.logp_vocab_old is not None:
        grown["logp_vocab_old"] = wider(batch.logp_vocab_old, -2.0)
    if batch.ids_topk is not None:
        grown |= {"ids_topk": wider(batch.ids_topk, 1), "logp_ref_topk": wider(batch.logp_ref_topk, -2.0)}
    grown |= {"ids": wider(batch.ids, 0), "mask": wider(batch.mask, False), "hidden_ref": wider(batch.hidden_ref, 3.0)}
    if per_token:
        grown |= {"heads_old": wider(batch.heads_old, 5.0), "returns": wider(batch.returns, 5.0)}
        grown["value_mask"] = grown["mask"]
    return replace(batch, **grown)


def test_minibatches_make_more_steps_and_honest_averages(tmp_path: Path) -> None:
    rows = trained(small(tmp_path, "algorithm=ppo_matched", "optimizer.minibatches=4", "optimizer.lr=1e-9"))[2]
    # Nothing moves at this rate, so the mean ratio is 1 however many minibatches it is averaged over.
    assert rows[0]["policy/ratio_mean"] == pytest.approx(1.0, abs=1e-5)


def test_the_critic_warms_up_alone(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=ppo_matched", "critic.warmup_updates=3"))
    start = [weight.detach().clone() for weight in parts.policy.module.parameters()]
    trained_parts, _, rows = trained(small(tmp_path, "algorithm=ppo_matched", "critic.warmup_updates=3"))
    now = trained_parts.policy.module.parameters()
    assert all(torch.equal(before, after) for before, after in zip(start, now, strict=True))
    assert rows[0]["critic/loss"] != rows[-1]["critic/loss"]


def test_the_preview_scales_an_update_down_to_its_cap(tmp_path: Path) -> None:
    fast = ["algorithm=ppo_matched", "optimizer.lr=3e-2", "updates=2"]
    free = trained(small(tmp_path, *fast))[2]
    capped = trained(small(tmp_path, *fast, "controller/preview=cap", "controller.preview.max_kl=0.01"))[2]
    assert free[1]["kl/ref_token_exact"] > 0.03
    assert capped[0]["controller/preview_scale"] < 1.0
    assert capped[1]["kl/ref_token_exact"] < 0.02


def test_a_target_kl_ends_the_epochs_of_an_update(tmp_path: Path) -> None:
    settings = ["algorithm=ppo_matched", "optimizer.epochs=6", "optimizer.lr=1e-2"]
    rows = trained(small(tmp_path, *settings, "optimizer.target_kl=1e-4"))[2]
    # The first pass is made by the policy that sampled, so its KL is 0; the second sees the first step.
    assert [row["policy/epochs"] for row in rows] == [2, 2, 2]
    assert all(row["kl/old_token_k3"] > 0 for row in rows)
    loose = trained(small(tmp_path, *settings, "optimizer.target_kl=1e9"))[2]
    assert [row["policy/epochs"] for row in loose] == [6, 6, 6]
    free = trained(small(tmp_path, *settings))[2]
    assert numbers(loose, lambda name: name == "policy/epochs") == numbers(free)


def test_a_reward_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path))

    class Broken:
        def score(self, prompts, responses, ended):
            return [math.nan] * len(prompts)

    broken = replace(parts, reward=Broken())
    with pytest.raises(RunFailed, match="must return finite numbers, got nan"):
        train_update(broken, initial_state(broken))


def test_an_objective_steps_on_the_mean_over_the_pass(tmp_path: Path) -> None:
    """R2VPO's multiplier with two minibatches a pass: the second one alone would give another number."""
    settings = ["algorithm=r2vpo", "optimizer.minibatches=2", "optimizer.epochs=1", "optimizer.lr=3e-2", "updates=2",
                "rollout.batch_size=32"]  # fmt: skip
    rows = trained(small(tmp_path, *settings, "objective.multiplier_lr=10.0", "objective.variance_bound=1e-6"))[2]
    seen = rows[0]["objective/ratio_variance"]
    assert seen > 1e-3
    assert rows[1]["objective/multiplier"] == pytest.approx(0.04 + 10.0 * (seen - 1e-6), rel=1e-6)


def test_a_multiplier_steps_once_an_update_on_its_last_pass_and_holds_the_bound(tmp_path: Path) -> None:
    """The first of two passes is at ratio 1, so what the last one saw is twice the row's mean over both."""
    settings = ["algorithm=r2vpo", "optimizer.epochs=2", "optimizer.lr=1e-2", "updates=8", "rollout.batch_size=32"]
    free = trained(small(tmp_path, *settings, "objective.multiplier_start=0", "objective.multiplier_lr=0"))[2]
    bound = sorted(2 * row["objective/ratio_variance"] for row in free)[4]
    held = ["objective.multiplier_start=0.5", "objective.multiplier_lr=10.0", f"objective.variance_bound={bound}"]
    rows = trained(small(tmp_path, *settings, *held))[2]
    ups = 0
    for row, after in pairwise(rows):
        excess = 2 * row["objective/ratio_variance"] - bound
        assert after["objective/multiplier"] == pytest.approx(row["objective/multiplier"] + 10.0 * excess, rel=1e-4)
        assert after["objective/multiplier"] > 0
        ups += excess > 0
    assert 0 < ups < len(rows) - 1, "the bound binds in some updates and lets others through"
