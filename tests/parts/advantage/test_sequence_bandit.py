import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def estimate(whiten: bool, token_reward: float = 0.0):
    given = evidence(
        [1.0, 2.0, 6.0],
        lengths=[2, 3, 1],
        token_reward_tok=torch.full((3, 3), token_reward),
        values=torch.tensor([[0.0], [1.0], [1.0]]),
        bootstrap_values=torch.zeros(3, 1),
    )
    return component("advantage", "sequence_bandit", whiten=whiten).estimate(given)


def test_reward_minus_value_on_every_token_of_the_response() -> None:
    got = estimate(whiten=False)
    assert got.advantage_tok.tolist() == [[1, 1, 0], [1, 1, 1], [5, 0, 0]]
    assert got.returns.tolist() == [[1], [2], [6]]


def test_whitened_over_sequences_not_over_tokens() -> None:
    # A = 1, 1, 5: mean 7/3, unbiased variance 16/3.
    got = estimate(whiten=True)
    assert got.advantage_tok[:, 0].tolist() == pytest.approx([-0.57735, -0.57735, 1.154701], abs=1e-5)
    assert got.advantage_tok[0].tolist() == pytest.approx([-0.57735, -0.57735, 0.0], abs=1e-5)


def test_a_penalty_in_the_reward_counts_once_per_valid_token() -> None:
    assert estimate(whiten=False, token_reward=-0.1).returns[:, 0].tolist() == pytest.approx([0.8, 1.7, 5.9])
