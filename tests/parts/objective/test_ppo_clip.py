from dataclasses import replace

import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, OLD, golden_batch, golden_loss, objective, token_gradient, told
from support.objectives import current as now


def test_worked_token_mean() -> None:
    assert golden_loss(objective("ppo_clip")) == pytest.approx(-0.348889, abs=1e-6)


def test_worked_sequence_mean() -> None:
    assert golden_loss(objective("ppo_clip"), "sequence_mean") == pytest.approx(-0.157407, abs=1e-6)


def test_clip_higher_worked_token_mean() -> None:
    assert golden_loss(objective("ppo_clip", clip_range_high=0.28)) == pytest.approx(-0.364889, abs=1e-6)


def test_only_unclipped_tokens_carry_gradient() -> None:
    # Ratios 1.2 (at the bound), 1.5 (above), 0.944, 0.75 and 0.2 (below, A < 0).
    assert (token_gradient(objective("ppo_clip"), NEW) != 0).tolist()[1:] == [False, True, False, False]
    assert told(objective("ppo_clip")).clipped_tok[MASK].tolist()[1:] == [True, False, True, True]


def test_dual_clip_worked_loss_and_no_gradient() -> None:
    logp = (OLD[:1, :1] + torch.tensor(5.0).log()).requires_grad_(True)
    one = golden_batch(advantage_tok=-torch.ones_like(ADVANTAGE)).rows(torch.tensor([0]))
    tokens = {name: getattr(one, name)[:, :1] for name in ("ids", "mask", "advantage_tok", "hidden_ref")}
    tokens |= dict.fromkeys(("logp_rollout_tok", "logp_old_tok", "logp_ref_tok"), OLD[:1, :1])
    one = replace(one, **tokens)
    for dual, expected, slope in ((None, 5.0, 5.0), (3.0, 3.0, 0.0)):
        loss = told(objective("ppo_clip", dual_clip=dual), now(logp), one).loss_tok
        assert loss.item() == pytest.approx(expected)
        assert torch.autograd.grad(loss.sum(), logp)[0].item() == pytest.approx(slope)


def test_the_anchor_is_the_policy_that_sampled_or_the_one_before_the_update() -> None:
    stale = golden_batch(logp_rollout_tok=NEW)
    at_sampler = told(objective("ppo_clip"), now(NEW), stale)
    assert torch.allclose(at_sampler.loss_tok[MASK], -ADVANTAGE[MASK])
    at_old = told(objective("ppo_clip", anchor="old"), now(NEW), stale)
    assert float(at_old.loss_tok[MASK].mean()) == pytest.approx(-0.348889, abs=1e-6)
