import math

import pytest
import torch

from safelab.errors import ConfigError
from safelab.types import Current
from support.objectives import ADVANTAGE, MASK, golden_batch, objective, told

LOGIT = torch.tensor([[3.0, -1.0, 0.5], [8.0, 2.0, 0.0]])


def at(logit_tok: torch.Tensor) -> Current:
    return Current(logp_tok=torch.zeros(2, 3), logp_vocab=None, logit_tok=logit_tok, seed=0)


@pytest.mark.parametrize(
    ("distance", "loss", "slope"),
    [("mse", 0.25, -1.0), ("lch", math.log(math.cosh(0.5)), -math.tanh(0.5))],
)
def test_worked_loss_and_gradient_whatever_the_logit(distance: str, loss: float, slope: float) -> None:
    leaf = LOGIT.clone().requires_grad_(True)
    answer = told(objective("logits_convex_sampled", distance=distance), at(leaf), golden_batch())
    assert answer.loss_tok[MASK].tolist() == pytest.approx([loss] * 5, abs=1e-6)
    answer.loss_tok[MASK].sum().backward()
    assert leaf.grad[MASK].tolist() == pytest.approx((slope * ADVANTAGE[MASK]).tolist(), abs=1e-6)


def test_the_anchor_has_no_say() -> None:
    with pytest.raises(ConfigError, match="this loss reads no ratio"):
        objective("logits_convex_sampled", anchor="rollout")
