import pytest
import torch

from support.objectives import ADVANTAGE, MASK, OLD, golden_batch, objective, reduced, told
from support.objectives import current as now

# Rewards 1 and 0: advantages of the group +0.5 and -0.5.
BATCH = golden_batch(advantage_tok=0.5 * ADVANTAGE)


def loss(**changes) -> float:
    return float(reduced(told(objective("robust_group", **changes), now(), BATCH), BATCH, "sequence_mean"))


def test_worked_losses_with_and_without_the_jackknife() -> None:
    assert loss() == pytest.approx(-2.163538, abs=1e-5)
    assert loss(jackknife=False) == pytest.approx(-2.194553, abs=1e-5)


def test_at_the_old_policy_low_rewards_are_pushed_down_in_proportion() -> None:
    """Gradient on log pi of a response: c (w / mean w - 1), spread over its tokens."""
    leaf = OLD.clone().requires_grad_(True)
    reduced(told(objective("robust_group", jackknife=False), now(leaf), BATCH), BATCH, "sequence_mean").backward()
    weight = torch.tensor([0.778801, 1.284025])
    share = 2.0 * (weight / weight.mean() - 1) / 2
    expected = share[:, None] / MASK.sum(dim=1, keepdim=True) * MASK
    assert torch.allclose(leaf.grad, expected, atol=1e-5)


def test_a_great_risk_parameter_is_the_group_mean_without_deviation() -> None:
    leaf = OLD.clone().requires_grad_(True)
    made = objective("robust_group", risk=1e4, jackknife=False)
    reduced(told(made, now(leaf), BATCH), BATCH, "sequence_mean").backward()
    expected = -BATCH.advantage_tok / MASK.sum(dim=1, keepdim=True) / 2
    assert torch.allclose(leaf.grad, expected, atol=1e-3)


def test_a_tiny_risk_parameter_stays_finite() -> None:
    rewards = golden_batch(advantage_tok=50 * ADVANTAGE)
    assert torch.isfinite(told(objective("robust_group", risk=0.01), now(), rewards).loss_tok).all()
