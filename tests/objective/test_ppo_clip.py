from dataclasses import replace

import pytest
import torch

from safelab.plugins import build_option
from safelab.types import TrainBatch
from support.models import context

# Two responses of 3 and 2 tokens, advantages +1 and -1: probabilities of the sampled tokens before and after.
OLD = torch.tensor([[0.5, 0.2, 0.9], [0.4, 0.1, 0.5]]).log()
NEW = torch.tensor([[0.6, 0.3, 0.85], [0.3, 0.02, 0.5]]).log()
MASK = torch.tensor([[True, True, True], [True, True, False]])
ADVANTAGE = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, 0.0]])


def objective(**changes):
    options = {"name": "ppo_clip", "clip_range": 0.2, "clip_range_high": None, "dual_clip": None}
    return build_option(
        "objective", {**options, "entropy_coef": 0.0, "entropy_positions": "response", **changes}, context()
    )


def batch() -> TrainBatch:
    empty = torch.zeros(2, 1)
    return TrainBatch(
        prompt_ids=torch.zeros(2, 1, dtype=torch.long),
        prompt_mask=torch.ones(2, 1, dtype=torch.bool),
        ids=torch.zeros(2, 3, dtype=torch.long),
        mask=MASK,
        logp_old_tok=OLD,
        logp_ref_tok=OLD,
        hidden_ref=torch.zeros(2, 3, 1),
        advantage_tok=ADVANTAGE,
        heads_old=torch.zeros(2, 1, 1),
        returns=empty,
        value_mask=torch.ones(2, 1, dtype=torch.bool),
    )


def token_mean(loss_tok: torch.Tensor) -> float:
    return float(loss_tok[MASK].mean())


def test_worked_token_mean() -> None:
    assert token_mean(objective().loss_tok(NEW, batch())) == pytest.approx(-0.348889, abs=1e-6)


def test_clip_higher_worked_token_mean() -> None:
    assert token_mean(objective(clip_range_high=0.28).loss_tok(NEW, batch())) == pytest.approx(-0.364889, abs=1e-6)


def test_only_unclipped_tokens_carry_gradient() -> None:
    logp = NEW.clone().requires_grad_(True)
    objective().loss_tok(logp, batch())[MASK].sum().backward()
    # Ratios 1.2 (at the bound), 1.5 (above), 0.944, 0.75 and 0.2 (below, A < 0).
    assert (logp.grad[MASK] != 0).tolist()[1:] == [False, True, False, False]
    assert objective().clipped_tok(NEW, batch())[MASK].tolist()[1:] == [True, False, True, True]


def test_at_the_old_policy_the_gradient_is_that_of_reinforce() -> None:
    logp = OLD.clone().requires_grad_(True)
    objective(dual_clip=3.0).loss_tok(logp, batch())[MASK].sum().backward()
    assert torch.allclose(logp.grad, -ADVANTAGE)


def test_zero_advantage_gives_zero_gradient_even_at_extreme_ratios() -> None:
    for shift in (-50.0, 0.0, 50.0):
        logp = (OLD + shift).requires_grad_(True)
        loss = objective().loss_tok(logp, replace(batch(), advantage_tok=torch.zeros_like(OLD)))
        loss[MASK].sum().backward()
        assert torch.equal(logp.grad, torch.zeros_like(logp))
        assert torch.isfinite(loss).all()
