import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, golden_batch, objective, reduced, token_gradient, told
from support.objectives import current as now

# Advantages +0.1 and -0.1.
BATCH = golden_batch(advantage_tok=0.1 * ADVANTAGE)


def test_worked_weights() -> None:
    answer = told(objective("weighted_sft"), now(), BATCH)
    assert answer.metrics_tok["weight"][:, 0].tolist() == pytest.approx([7.389056, 0.143125], abs=1e-5)
    only_advantage = told(objective("weighted_sft", reference_share=0.0), now(), BATCH)
    assert only_advantage.metrics_tok["weight"][:, 0].tolist() == pytest.approx([7.389056, 0.135335], abs=1e-6)


def test_the_loss_is_of_whole_responses() -> None:
    made = objective("weighted_sft")
    logp_seq = torch.where(MASK, NEW, torch.zeros_like(NEW)).sum(dim=1)
    expected = -(torch.tensor([7.389056, 0.143125]) * logp_seq).mean()
    assert float(reduced(told(made, now(), BATCH), BATCH, "sequence_sum", length=1)) == pytest.approx(
        float(expected), abs=1e-4
    )


def test_the_weights_are_capped_and_carry_no_gradient() -> None:
    answer = told(objective("weighted_sft"))
    assert answer.metrics_tok["weight"][0, 0].item() == pytest.approx(20.0)
    assert answer.metrics_tok["weight_clipped"][:, 0].tolist() == [1.0, 0.0]
    assert token_gradient(objective("weighted_sft"), NEW)[:3].tolist() == pytest.approx([-20.0] * 3, rel=1e-6)


def test_equal_rewards_are_plain_supervised_learning_when_the_policy_is_the_reference() -> None:
    batch = golden_batch(advantage_tok=torch.zeros_like(ADVANTAGE), logp_ref_tok=golden_batch().logp_rollout_tok)
    assert torch.allclose(token_gradient(objective("weighted_sft"), NEW, batch), -torch.ones(5))
