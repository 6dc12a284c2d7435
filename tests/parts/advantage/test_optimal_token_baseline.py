import pytest
import torch

from support.evidence import evidence
from support.objectives import MASK, OLD, component

# Two-way tokens with the golden responses' old probabilities: |d log p / d logits|^2 = 2 (1 - p)^2.
SQUARES = 2 * (1 - OLD.double().exp()).square()


def estimate(tail: str, rewards=(1.0, 0.0), groups=(0, 0), **more):
    given = evidence(rewards, groups, [3, 2], logit_gradient_tok=SQUARES, **more)
    made = component("advantage", "optimal_token_baseline", tail=tail).estimate(given)
    assert made.returns is None
    return made


def test_worked_advantages_with_each_tail() -> None:
    shared = [0.590164, 0.567961]
    for tail, last in (("zero", 1.0), ("own", 0.0), ("last_shared", 0.567961)):
        found = estimate(tail).advantage_tok
        assert found[MASK].tolist() == pytest.approx([*shared, last, -0.409836, -0.432039], abs=1e-6)
        assert found[1, 2] == 0


def test_worked_metrics() -> None:
    """B 0.409836, 0.432039, 0 in the first response and 0.409836, 0.432039 in the second."""
    found = estimate("zero").metrics
    first = torch.tensor([0.409836, 0.432039, 0.0]).std(unbiased=False)
    assert float(found["baseline_spread"]) == pytest.approx(float(first + (0.432039 - 0.409836) / 2) / 2, abs=1e-5)
    assert float(found["tail_share"]) == pytest.approx(1 / 5)
    squares = 0.5 * 0.590164**2 + 1.78 * 0.567961**2 + 1.80 + 0.72 * 0.409836**2 + 2.34 * 0.432039**2
    assert float(found["weighted_square"]) == pytest.approx(squares / 5, abs=1e-5)


def test_without_tail_it_makes_the_weighted_square_smaller_than_the_mean_does() -> None:
    b, w = (1 - 0.590164, 1 - 0.567961), torch.tensor([[0.5, 1.78], [0.72, 2.34]])
    away = torch.tensor([[1.0], [0.0]])
    assert (w * (away - torch.tensor(b)).square()).sum() < (w * (away - 0.5).square()).sum()


def test_the_kl_in_the_reward_counts_from_its_token_on() -> None:
    """A penalty on the last token is in the reward to go of all, one on the first in that of the first alone."""
    penalty = torch.tensor([[-0.5, 0.0, -0.1], [0.0, 0.0, 9.0]])
    charged = estimate("own", token_reward_tok=penalty).advantage_tok
    # Rewards to go 0.4, 0.9, 0.9 against 0, 0; weights 0.5 to 0.72, then 1.78 to 2.34.
    assert charged[0].tolist() == pytest.approx([0.4 * 0.590164, 0.9 * 0.567961, 0.0], abs=1e-6)
    assert charged[1].tolist() == pytest.approx([-0.4 * 0.409836, -0.9 * 0.432039, 0.0], abs=1e-6)


def test_equal_rewards_push_the_tail_alone() -> None:
    assert estimate("zero", rewards=(0.7, 0.7)).advantage_tok.tolist() == [
        pytest.approx([0.0, 0.0, 0.7], abs=1e-6), pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    ]  # fmt: skip
    assert estimate("own", rewards=(0.7, 0.7)).advantage_tok.abs().max() < 1e-6


def test_a_response_that_is_alone_keeps_its_reward() -> None:
    for tail in ("zero", "own", "last_shared"):
        assert estimate(tail, rewards=(1.0, -2.0), groups=(0, 1)).advantage_tok.tolist() == [[1, 1, 1], [-2, -2, 0]]
