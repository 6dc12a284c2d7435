from typing import Any

import pytest
import torch
from torch import nn

from safelab.errors import ConfigError
from safelab.plugins import build_option, faults
from support.models import context

ORACLE = {"of": "gold", "link": "logistic", "link_temperature": 1.0, "votes": 4, "trim": 0.1}
OPTIONS: dict[str, Any] = {
    "name": "zeroth_order", "lr": 0.1, "max_grad_norm": None, "mu": 0.5, "block_size": None, "perturbations": 2,
    "noise": "own", "oracle": ORACLE, "epochs": 1, "minibatches": 1, "micro_batch_size": None,
    "micro_batch_tokens": None, "target_kl": None,
}  # fmt: skip


def test_its_step_is_uphill_along_what_it_is_given() -> None:
    policy = nn.Linear(1, 1, bias=False)
    start = policy.weight.item()
    optimizers = build_option("optimizer", OPTIONS, context()).make(policy, nn.Identity())
    policy.weight.grad = torch.full_like(policy.weight, 3.0)
    optimizers.policy.step()
    assert policy.weight.item() == pytest.approx(start + 0.1 * 3.0)
    assert optimizers.critic is None


def test_frozen_weights_are_left_out() -> None:
    policy = nn.Linear(2, 2)
    policy.bias.requires_grad_(False)
    optimizers = build_option("optimizer", OPTIONS, context()).make(policy, nn.Identity())
    assert [weight.shape for weight in optimizers.policy.param_groups[0]["params"]] == [torch.Size([2, 2])]


def test_a_block_is_at_most_all_weights() -> None:
    made = build_option("optimizer", {**OPTIONS, "block_size": 7}, context())
    with pytest.raises(ConfigError, match=r"optimizer\.block_size must be at most the 6 weights that train, got 7"):
        made.make(nn.Linear(2, 2), nn.Identity())


def test_weights_that_round_a_perturbation_away_are_refused() -> None:
    made = build_option("optimizer", OPTIONS, context())
    with pytest.raises(ConfigError, match=r"policy\.dtype must be float32 with optimizer=zeroth_order"):
        made.make(nn.Linear(2, 2).to(torch.bfloat16), nn.Identity())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mu": 0.0}, "optimizer.mu must be > 0, got 0.0"),
        ({"epochs": 2}, "optimizer.epochs must be 1, got 2"),
        ({"minibatches": 4}, "optimizer.minibatches must be 1, got 4"),
        ({"target_kl": 0.1}, "optimizer.target_kl must be None, got 0.1"),
        ({"oracle": {**ORACLE, "trim": 0.5}}, "optimizer.oracle.trim must be < 0.5, got 0.5"),
        (
            {"oracle": {**ORACLE, "link": "cauchy"}},
            "optimizer.oracle.link must be 'logistic' or 'probit', got 'cauchy'",
        ),
    ],
)
def test_what_is_out_of_range_is_told(changes: dict[str, Any], told: str) -> None:
    assert faults("optimizer", {**OPTIONS, **changes}) == [told]
