import math
from dataclasses import replace

import pytest
import torch

from safelab.plugins import build_option
from support.models import context
from support.pair_batches import pair_batch

# One pair, the chosen answer first: its tokens have .60 .30 .85 under the policy and .45 .25 .80 under the reference;
# the rejected one's .30 .02 and .35 .20.
POLICY = torch.tensor([[0.6 * 0.3 * 0.85, 0.3 * 0.02]], dtype=torch.float64).log()
REFERENCE = [[math.log(0.45 * 0.25 * 0.8), math.log(0.35 * 0.2)]]


def ipo(beta: float, over: str = "sum"):
    return build_option("preference", {"name": "ipo", "beta": beta, "over": over}, context())


def test_by_worked_numbers() -> None:
    value = ipo(0.1).loss_pair(POLICY, pair_batch(REFERENCE))
    assert value.item() == pytest.approx(4.050704, abs=1e-6)


def test_averaged_over_the_tokens_of_each_answer_by_worked_numbers() -> None:
    """Three tokens and two: log ratios .530628 / 3 and -2.456736 / 2, whose margin is 1.405244."""
    mask = torch.tensor([[[True, True, True], [True, True, False]]])
    batch = replace(pair_batch(REFERENCE), mask=mask, ids=torch.zeros(1, 2, 3, dtype=torch.long))
    made = ipo(0.1, "token_mean")
    chosen = math.log(0.6 * 0.3 * 0.85) - math.log(0.45 * 0.25 * 0.8)
    rejected = math.log(0.3 * 0.02) - math.log(0.35 * 0.2)
    margin = chosen / 3 - rejected / 2
    assert margin == pytest.approx(1.405244, abs=1e-6)
    assert made.loss_pair(POLICY, batch).item() == pytest.approx((margin - 5.0) ** 2, abs=1e-9)
    implied = made.implied_reward(made.as_read(POLICY - batch.logp_ref, batch))
    assert implied.tolist() == [pytest.approx([0.1 * chosen / 3, 0.1 * rejected / 2])]


def test_the_margin_that_is_wanted_has_no_gradient() -> None:
    logp = torch.tensor([[2.0, -3.0]], dtype=torch.float64).requires_grad_()
    value = ipo(0.1).loss_pair(logp, pair_batch([[0.0, 0.0]]))
    value.sum().backward()
    assert value.item() == 0
    assert torch.equal(logp.grad, torch.zeros_like(logp))
