"""A route of the KL penalty is a part: what it says of itself is what a run does, a user's own included."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.app.config.build import problems
from safelab.app.dry_run.estimate import need
from safelab.plugins import option_names
from safelab.training import rollouts, stages
from safelab.training.losses import counts, forward, loss_terms
from safelab.training.probes.audit import penalty_gradient
from safelab.training.rewards import score_rewards
from support.runs import parts_of, small, trained

ROUTES = option_names("controller/route")
OWN = ("controller.route.name='support.routes:ExactInReward'", "+controller.route.share=0.5")


def test_there_are_routes() -> None:
    assert len(ROUTES) >= 7


def run_parts(tmp_path: Path, *overrides: str):
    """Parts, a plan with a coefficient of 0.3, and a scored rollout of a policy away from the reference."""
    parts = parts_of(small(tmp_path, "algorithm=ppo_matched", "controller.allow_known_bad=true", *overrides))
    with torch.no_grad():
        for weight in parts.policy.module.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    return parts, replace(parts.controller.plan(parts.controller.init()), kl_coef=0.3), scored


@pytest.mark.parametrize("name", ROUTES)
def test_loss_and_reward_hold_what_the_route_says(name: str, tmp_path: Path) -> None:
    parts, plan, scored = run_parts(tmp_path, f"controller/route={name}")
    route = parts.controller.route
    batch = stages.make_batch(parts, scored, scored.reward_seq, plan)
    weighted = loss_terms(parts, plan, batch, counts(batch), objective=parts.objective.init()).weighted
    assert ("kl" in weighted) is route.in_loss
    assert bool(stages.token_rewards(route, plan, scored).any()) is route.in_reward
    assert (forward(parts, plan, batch)[1].kl_exact_tok is not None) is route.needs_exact
    assert bool(penalty_gradient(parts, plan, scored).any()) is (route.in_loss or route.in_reward)


def test_the_reward_loses_the_coefficient_times_k1(tmp_path: Path) -> None:
    parts, plan, scored = run_parts(tmp_path, "controller/route=reward")
    expected = -0.3 * (scored.logp_old_tok - scored.logp_ref_tok) * scored.rollout.mask
    torch.testing.assert_close(stages.token_rewards(parts.controller.route, plan, scored), expected)


def test_a_route_of_the_users_own_acts_in_a_run(tmp_path: Path) -> None:
    parts, plan, scored = run_parts(tmp_path, *OWN)
    taken = stages.token_rewards(parts.controller.route, plan, scored)
    torch.testing.assert_close(taken, -0.3 * 0.5 * scored.kl_exact_tok * scored.rollout.mask)
    rows = trained(small(tmp_path, "algorithm=ppo_matched", *OWN))[2]
    assert len(rows) == 3


def test_its_options_are_checked_before_anything_is_built(tmp_path: Path) -> None:
    lines = problems(small(tmp_path, OWN[0], "+controller.route.share=half"))
    assert lines == ["controller.route.share must be a valid number, got 'half'"]


def test_a_route_of_no_use_is_refused_unless_studied(tmp_path: Path) -> None:
    useless = ("controller.route.name='support.routes:Useless'", OWN[1])
    assert problems(small(tmp_path, *useless)) == [
        "controller must not have route=support.routes:Useless: it was written for a test; use reward, or set "
        "allow_known_bad=true to study it"
    ]
    assert problems(small(tmp_path, *useless, "controller.allow_known_bad=true")) == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "controller.route=loss_k2",
            "controller.route must be an option of the group controller/route, got 'loss_k2': write "
            "controller/route=loss_k2, in a file '- override /controller/route: loss_k2'",
        ),
        (
            "controller.gate=entrop",
            "controller.gate must be an option of the group controller/gate, got 'entrop': write "
            "controller/gate=entrop, in a file '- override /controller/gate: entrop'; did you mean 'entropy'? "
            "known: entropy, none",
        ),
        (
            "controller.route.name=los_k2",
            "controller.route.name must name an option of controller/route, got 'los_k2': did you mean 'loss_k2'? "
            f"known: {', '.join(ROUTES)}",
        ),
    ],
)
def test_a_key_set_where_an_option_is_chosen_is_told_once(override: str, told: str, tmp_path: Path) -> None:
    assert problems(small(tmp_path, override)) == [told]


@pytest.mark.slow
def test_the_reference_in_each_pass_takes_memory(tmp_path: Path) -> None:
    def logits(*route: str) -> int:
        return need(small(tmp_path, *route)).logits

    sixth = logits("controller/route=loss_exact") // 6
    assert logits("controller/route=loss_exact") == logits(*OWN) == 6 * sixth
    assert logits("controller/route=loss_k2") == 5 * sixth
