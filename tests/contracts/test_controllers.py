"""What every controller stack must keep; the stacks are found by their YAML."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.training import rollouts, stages
from safelab.training.losses import counts, loss_terms
from safelab.training.rewards import score_rewards
from safelab.types import Signals
from support.controllers import CONF, stack
from support.runs import parts_of, small

STACKS = sorted(path.stem for path in CONF.glob("*.yaml"))
HIGH = Signals(
    reward_mean=0.5,
    kl_ref_token_k1=1.0,
    kl_ref_token_exact=1.0,
    kl_ref_seq_k1=12.0,
    entropy_token=1.0,
    n_sequences=32,
)


def test_there_are_stacks() -> None:
    assert len(STACKS) >= 8


@pytest.mark.parametrize("name", STACKS)
def test_the_penalty_reaches_the_policy_as_its_route_says(name: str, tmp_path: Path) -> None:
    """A penalty with a value reaches the policy on every route but ``constant``, where it must reach nothing."""
    parts = parts_of(small(tmp_path, "algorithm=ppo_matched", f"controller={name}"))
    state = parts.controller.init()
    for _ in range(60):
        state = parts.controller.step(state, HIGH)
    plan = parts.controller.plan(state)
    if name == "none":
        assert (plan.penalty, plan.kl_coef) == (0.0, 0.0)
        return
    assert plan.penalty > 0
    with torch.no_grad():  # away from the reference, where k1 and k2 have a slope too
        for weight in parts.policy.module.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))

    def gradient(coef: float) -> torch.Tensor:
        used = replace(plan, kl_coef=coef)
        batch = stages.make_batch(parts, scored, scored.reward_seq, used)
        parts.policy.module.zero_grad()
        loss_terms(parts, used, batch, counts(batch), objective=parts.objective.init()).total.backward()
        return torch.cat([weight.grad.flatten() for weight in parts.policy.module.parameters()])

    moved = float((gradient(plan.kl_coef) - gradient(0.0)).norm())
    assert (moved == 0.0) is (parts.controller.route.name == "constant")


# The coefficient of adaptive_kl_token follows the same KL; that path is no part of the slope.
@pytest.mark.parametrize("name", [name for name in STACKS if name != "adaptive_kl_token"])
def test_its_coefficient_is_the_slope_of_its_penalty(name: str) -> None:
    """A central difference of the penalty in the newest KL, the rest of its past held."""
    controller = stack(name)
    state = controller.init()
    for _ in range(60):
        state = controller.step(state, HIGH)
    base = state

    def penalty(kl: float) -> float:
        heard = replace(HIGH, kl_ref_token_k1=kl, kl_ref_token_exact=kl)
        return float(controller.plan(controller.step(base, heard)).penalty)

    step = 1e-4
    slope = (penalty(1.0 + step) - penalty(1.0 - step)) / (2 * step)
    assert controller.plan(controller.step(base, HIGH)).kl_coef == pytest.approx(slope, rel=1e-6, abs=1e-9)
