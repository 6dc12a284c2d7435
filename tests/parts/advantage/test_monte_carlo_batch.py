import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def found(rewards, groups):
    return component("advantage", "monte_carlo_batch").estimate(evidence(rewards, groups)).advantage_tok[:, 0]


def test_worked_group_means_then_whitened() -> None:
    plain = torch.tensor([1.0, -1.0, 3.0, -3.0])
    expected = plain / plain.std()
    assert found([3.0, 1.0, 13.0, 7.0], [0, 0, 1, 1]).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_one_response_per_prompt_is_whitened_over_the_batch() -> None:
    rewards = torch.tensor([1.0, 2.0, 4.0])
    expected = (rewards - rewards.mean()) / rewards.std()
    assert found(rewards.tolist(), [0, 1, 2]).tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_equal_rewards_give_nothing() -> None:
    assert found([0.5] * 4, [0, 0, 1, 1]).abs().max() == 0
