"""Every advantage says whether a response's tokens share one number, and keeps its word."""

from typing import get_args

import pytest
import torch

from safelab.plugins import find
from safelab.types import Grain
from support.evidence import evidence
from support.objectives import CONF, component

ADVANTAGES = sorted(path.stem for path in (CONF / "advantage").glob("*.yaml"))


@pytest.mark.parametrize("name", ADVANTAGES)
def test_its_grain_is_declared(name: str) -> None:
    assert vars(find("advantage", name))["grain"] in get_args(Grain)


# ``static_value`` reads a model, not this evidence; its own tests tell its tokens apart.
@pytest.mark.parametrize("name", sorted(set(ADVANTAGES) - {"static_value"}))
def test_its_grain_is_true(name: str) -> None:
    """Two prompts, a response of three tokens in each place, and a KL penalty that differs from token to token."""
    grain = find("advantage", name).grain
    shape = (4, 3) if grain == "token" else (4, 1)
    noise = torch.Generator().manual_seed(0)
    given = evidence(
        [1.0, 0.5, -2.0, 3.0],
        [0, 0, 1, 1],
        [3] * 4,
        token_reward_tok=-torch.rand(4, 3, generator=noise),
        values=torch.rand(shape, generator=noise),
        bootstrap_values=torch.rand(shape, generator=noise),
        greedy_reward_seq=torch.zeros(4),
        logit_gradient_tok=torch.rand(4, 3, generator=noise),
    )
    found = component("advantage", name).estimate(given).advantage_tok
    same = bool((found == found[:, :1]).all())
    assert same == (grain == "sequence")
