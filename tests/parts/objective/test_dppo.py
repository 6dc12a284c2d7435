import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, golden_batch, golden_loss, objective, token_gradient, told
from support.objectives import current as now


def test_worked_total_variation_keeps_every_token() -> None:
    answer = told(objective("dppo"))
    assert answer.metrics_tok["divergence"][MASK].tolist() == pytest.approx([0.1, 0.1, 0.05, 0.1, 0.08], abs=1e-6)
    assert not answer.clipped_tok[MASK].any()
    assert golden_loss(objective("dppo")) == pytest.approx(0.177411, abs=1e-6)


def test_worked_binary_kl_blocks_the_last_token() -> None:
    answer = told(objective("dppo_kl"))
    expected = [0.020411, 0.025732, 0.010896, 0.022582, 0.084302]
    assert answer.metrics_tok["divergence"][MASK].tolist() == pytest.approx(expected, abs=1e-6)
    assert answer.clipped_tok[MASK].tolist() == [False, False, False, False, True]
    assert golden_loss(objective("dppo_kl")) == pytest.approx(0.333892, abs=1e-6)


@pytest.mark.parametrize(("advantage", "blocked"), [(1.0, True), (-1.0, False)])
def test_only_moves_that_raise_the_divergence_are_blocked(advantage: float, blocked: bool) -> None:
    """Sampled at 0.3, now at 0.5: TV 0.2, KL 0.082283, both beyond their bounds."""
    batch = golden_batch(logp_rollout_tok=torch.full((2, 3), 0.3).log(), advantage_tok=torch.full((2, 3), advantage))
    for name, distance in (("dppo", 0.2), ("dppo_kl", 0.082283)):
        answer = told(objective(name), now(torch.full((2, 3), 0.5).log()), batch)
        assert answer.metrics_tok["divergence"][0, 0].item() == pytest.approx(distance, abs=1e-6)
        assert answer.clipped_tok[MASK].tolist() == [blocked] * 5


def test_the_weight_carries_no_gradient_of_its_own() -> None:
    ratio = (NEW - golden_batch().logp_rollout_tok).exp()[MASK]
    assert torch.allclose(token_gradient(objective("dppo"), NEW), -ratio * ADVANTAGE[MASK])


def test_the_cap_bounds_the_weight() -> None:
    gradient = token_gradient(objective("dppo", ratio_cap=1.3), NEW)
    assert gradient[1].item() == pytest.approx(-1.3)


def test_certain_tokens_have_a_finite_divergence() -> None:
    sure = golden_batch(logp_rollout_tok=torch.zeros(2, 3))
    assert torch.isfinite(told(objective("dppo_kl"), now(torch.full((2, 3), -60.0)), sure).loss_tok).all()
