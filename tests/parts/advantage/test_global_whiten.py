import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def test_worked_rewards_to_go() -> None:
    """Responses of 2 and 1 tokens, scores 1 and 0, a penalty of 0.1 on each token: to go 0.8, 0.9 and -0.1."""
    given = evidence([1.0, 0.0], lengths=[2, 1], token_reward_tok=torch.full((2, 2), -0.1))
    found = component("advantage", "global_whiten").estimate(given).advantage_tok
    to_go = torch.tensor([0.8, 0.9, -0.1])
    white = (to_go - to_go.mean()) / to_go.std()
    assert found.flatten().tolist() == pytest.approx([*white.tolist(), 0.0], abs=1e-6)


def test_the_groups_mean_comes_off_first() -> None:
    given = evidence([3.0, 1.0, 11.0, 9.0], [0, 0, 1, 1])
    found = component("advantage", "global_whiten", baseline="group_mean").estimate(given).advantage_tok[:, 0]
    # +1, -1, +1, -1 on two tokens each: the unbiased deviation of the eight is sqrt(8 / 7).
    assert found.tolist() == pytest.approx([0.935414, -0.935414, 0.935414, -0.935414], abs=1e-6)


def test_equal_rewards_give_nothing() -> None:
    assert component("advantage", "global_whiten").estimate(evidence([0.3, 0.3])).advantage_tok.abs().max() == 0
