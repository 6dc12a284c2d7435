import math

import pytest
import torch

from safelab.errors import ConfigError
from support.objectives import current as now
from support.objectives import golden_batch, objective, told

# One distribution for every place: logits 1, 0, -1; the sampled token is the first.
LOGP = torch.tensor([1.0, 0.0, -1.0]).log_softmax(0).expand(2, 3, 3)


def batch(**changes):
    first = torch.zeros(2, 3, dtype=torch.long)
    changes = {"advantage_tok": torch.ones(2, 3), **changes}
    return golden_batch(ids=first, logp_vocab_old=LOGP, logp_old_tok=LOGP[..., 0], **changes)


def test_worked_divergence_and_gradient_at_the_old_policy() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0]).expand(2, 3, 3).clone().requires_grad_(True)
    loss = told(objective("logits_convex"), now(LOGP[..., 0], torch.log_softmax(logits, -1)), batch()).loss_tok
    assert loss[0, 0].item() == pytest.approx(0.0815547, abs=1e-6)
    loss[0, 0].backward()
    assert logits.grad[0, 0].tolist() == pytest.approx([-0.178554, 0.130533, 0.048021], abs=1e-6)


def test_the_target_raises_the_sampled_token_by_its_advantage() -> None:
    answer = told(objective("logits_convex"), now(LOGP[..., 0], LOGP), batch())
    assert answer.metrics_tok["target_ratio"][0, 0].item() == pytest.approx(0.843795 / 0.665241, abs=1e-5)


def test_the_first_authors_code_hardly_learns_from_losses() -> None:
    """Shipped as theirs: beta 2, and 200 where A <= 0. The oracle is softmax(z_old + A / beta) by hand."""
    made = objective("logits_convex_released")
    for advantage, beta in ((1.0, 2.0), (-1.0, 200.0)):
        shifted = [math.exp(1.0 + advantage / beta), 1.0, math.exp(-1.0)]
        goal = [weight / sum(shifted) for weight in shifted]
        given = batch(advantage_tok=torch.full((2, 3), advantage))
        leaf = torch.tensor([1.0, 0.0, -1.0]).expand(2, 3, 3).clone().requires_grad_(True)
        answer = told(made, now(LOGP[..., 0], torch.log_softmax(leaf, -1)), given)
        old = LOGP[0, 0].exp().tolist()
        expected = sum(p * math.log(p / q) for p, q in zip(goal, old, strict=True))
        assert answer.loss_tok[0, 0].item() == pytest.approx(expected, abs=1e-6)
        answer.loss_tok[0, 0].backward()
        assert leaf.grad[0, 0].tolist() == pytest.approx([q - p for p, q in zip(goal, old, strict=True)], abs=1e-6)


@pytest.mark.parametrize("distance", ["kld", "mse", "lch"])
def test_at_the_optimum_every_distance_has_no_loss_and_no_gradient(distance: str) -> None:
    goal = torch.tensor([2.0, 0.0, -1.0]).expand(2, 3, 3).clone().requires_grad_(True)
    answer = told(
        objective("logits_convex", distance=distance), now(LOGP[..., 0], torch.log_softmax(goal, -1)), batch()
    )
    assert torch.allclose(answer.loss_tok, torch.zeros(2, 3), atol=1e-6)
    answer.loss_tok.sum().backward()
    assert torch.allclose(goal.grad, torch.zeros_like(goal), atol=1e-5)


def test_it_starts_from_the_old_policy_only() -> None:
    with pytest.raises(ConfigError, match="anchor=old"):
        objective("logits_convex", anchor="rollout")
