import math

import pytest
import torch

from safelab.plugins import build_option
from support.models import context
from support.pair_batches import pair_batch

# One pair, the chosen answer first: its tokens have .60 .30 .85 under the policy and .45 .25 .80 under the reference;
# the rejected one's .30 .02 and .35 .20.
POLICY = torch.tensor([[0.6 * 0.3 * 0.85, 0.3 * 0.02]], dtype=torch.float64).log()
REFERENCE = [[math.log(0.45 * 0.25 * 0.8), math.log(0.35 * 0.2)]]


def dpo(**changes):
    return build_option("preference", {"name": "dpo", "beta": 0.1, "label_smoothing": 0.0, **changes}, context())


@pytest.mark.parametrize(("smoothing", "expected"), [(0.0, 0.554893), (0.1, 0.584767)])
def test_by_worked_numbers(smoothing: float, expected: float) -> None:
    value = dpo(label_smoothing=smoothing).loss_pair(POLICY, pair_batch(REFERENCE))
    assert value.item() == pytest.approx(expected, abs=1e-6)


def test_the_implied_reward_is_beta_times_the_log_ratio() -> None:
    implied = dpo(beta=0.5).implied_reward(POLICY - torch.tensor(REFERENCE, dtype=torch.float64))
    assert (implied[0, 0] - implied[0, 1]).item() == pytest.approx(0.5 * 2.987364, abs=1e-6)


def test_smoothing_turns_the_gradient_round_where_the_margin_is_too_large() -> None:
    logp = torch.tensor([[30.0, 0.0]], dtype=torch.float64).requires_grad_()
    dpo(label_smoothing=0.1).loss_pair(logp, pair_batch([[0.0, 0.0]])).sum().backward()
    assert logp.grad[0, 0] > 0
