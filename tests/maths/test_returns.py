import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.returns import gae, place_at_end

REWARDS = torch.tensor([[-0.01, -0.02, 1.0]], dtype=torch.float64)
VALUES = torch.tensor([[0.2, 0.4, 0.5]], dtype=torch.float64)
ALL = torch.ones(1, 3, dtype=torch.bool)


def close(x: torch.Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(x, torch.tensor(expected, dtype=x.dtype), atol=1e-9, rtol=0)


def test_gae_by_worked_numbers():
    advantage, returns = gae(REWARDS, VALUES, ALL, discount=1.0, trace_decay=0.95)
    close(advantage, [[0.71725, 0.555, 0.5]])
    close(returns, [[0.91725, 0.955, 1.0]])


def test_no_trace_is_the_one_step_error():
    advantage, _ = gae(REWARDS, VALUES, ALL, discount=0.9, trace_decay=0.0)
    # -.01 + .36 - .2, -.02 + .45 - .4, 1 - .5
    close(advantage, [[0.15, 0.03, 0.5]])


def test_full_trace_is_reward_to_go_minus_value():
    advantage, returns = gae(REWARDS, VALUES, ALL, discount=1.0, trace_decay=1.0)
    close(advantage, [[0.77, 0.58, 0.5]])
    close(returns, [[0.97, 0.98, 1.0]])


def test_bootstrap_values_are_read_for_the_next_value_only():
    target = torch.tensor([[9.0, 0.1, 0.3]], dtype=torch.float64)
    advantage, returns = gae(REWARDS, VALUES, ALL, 1.0, 0.0, bootstrap_values_tok=target)
    # -.01 + .1 - .2, -.02 + .3 - .4, 1 - .5; returns add the values themselves
    close(advantage, [[-0.11, -0.12, 0.5]])
    close(returns, [[0.09, 0.28, 1.0]])


def naive(rewards, values, length, discount, decay):
    """One response, forward sums: A_t = sum_k (g l)^k delta_{t+k}."""
    delta = [rewards[t] + discount * (values[t + 1] if t + 1 < length else 0.0) - values[t] for t in range(length)]
    return [sum((discount * decay) ** (k - t) * delta[k] for k in range(t, length)) for t in range(length)]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_a_naive_loop_is_an_oracle_and_padding_never_matters(lengths, discount, decay, seed):
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, len(lengths), 6, generator=generator, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    nan = torch.full_like(rewards, math.nan)
    advantage, returns = gae(torch.where(mask, rewards, nan), torch.where(mask, values, nan), mask, discount, decay)
    assert (advantage[~mask] == 0).all()
    assert (returns[~mask] == 0).all()
    for row, length in enumerate(lengths):
        expected = naive(rewards[row].tolist(), values[row].tolist(), length, discount, decay)
        assert advantage[row, :length].tolist() == pytest.approx(expected, abs=1e-9)
        assert (returns - values)[row, :length].tolist() == pytest.approx(expected, abs=1e-9)


def test_score_stands_at_the_last_token():
    mask = torch.tensor([[True, True, False], [True, True, True], [True, False, False], [False, False, False]])
    placed = place_at_end(torch.tensor([1.0, 2.0, -3.0, 9.0]), mask)
    assert placed.tolist() == [[0, 1, 0], [0, 0, 2], [-3, 0, 0], [0, 0, 0]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_placing_keeps_each_score_once(lengths):
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    score = torch.arange(1.0, len(lengths) + 1)
    placed = place_at_end(score, mask)
    assert torch.equal(placed.sum(dim=1), score)
    assert (placed != 0).sum().item() == len(lengths)
    assert (placed[~mask] == 0).all()
