"""The optimal token baseline against a loop in float64, and against gradients whose variance is known exactly."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from safelab.maths.token_baseline import token_baseline

TAILS = ("last_shared", "own", "zero")


def naive(to_go, squares, mask, groups, eps, tail):
    """Number by number."""
    rows, columns = len(groups), len(mask[0])
    baseline = [[0.0] * columns for _ in range(rows)]
    for i, t in itertools.product(range(rows), range(columns)):
        mates = [j for j in range(rows) if groups[j] == groups[i]]

        def at(place, mates=mates):
            alive = [j for j in mates if mask[j][place]]
            weights = [sum(squares[j][: place + 1]) for j in alive]
            return len(alive), sum(w * to_go[j][place] for w, j in zip(weights, alive, strict=True)) / (
                sum(weights) + eps
            )

        if not mask[i][t] or len(mates) == 1:
            continue
        alive, value = at(t)
        if alive == 1 and tail == "zero":
            value = 0.0
        if alive == 1 and tail == "last_shared":
            value = at(max(place for place in range(columns) if at(place)[0] > 1))[1]
        baseline[i][t] = value
    return baseline


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), tail=st.sampled_from(TAILS))
def test_it_is_the_loop_whatever_the_groups_and_lengths(seed: int, tail: str) -> None:
    draw = torch.Generator().manual_seed(seed)
    groups = torch.tensor([5, 2, 5, 9, 2, 5])[torch.randperm(6, generator=draw)]
    mask = torch.arange(5) < torch.randint(1, 6, (6, 1), generator=draw)
    to_go, squares = (torch.rand(6, 5, generator=draw, dtype=torch.float64) + 0.1 for _ in range(2))
    junk = torch.full_like(to_go, float("nan"))
    found = token_baseline(
        torch.where(mask, to_go, junk), torch.where(mask, squares, junk), mask, groups, eps=1e-3, tail=tail
    )
    expected = naive(to_go.tolist(), squares.tolist(), mask.tolist(), groups.tolist(), 1e-3, tail)
    assert torch.allclose(found.baseline_tok, torch.tensor(expected, dtype=torch.float64), atol=1e-9)
    alive = [int((mask[groups == group, t]).sum()) for group, t in itertools.product(groups.tolist(), range(5))]
    assert found.tail_tok.flatten().tolist() == [
        kept and count == 1 for kept, count in zip(mask.flatten().tolist(), alive, strict=True)
    ]


def at_equal_weights(tail: str) -> list[float]:
    """B of three responses to one prompt of 1, 2 and 3 tokens, rewards 6, 3 and 1."""
    mask = torch.arange(3) < torch.tensor([[1], [2], [3]])
    to_go = torch.tensor([[6.0], [3.0], [1.0]]).double() * mask
    one = torch.tensor([1.0, 0.0, 0.0]).double() * mask  # so that W is 1 everywhere
    found = token_baseline(to_go, one, mask, torch.zeros(3, dtype=torch.long), eps=1e-12, tail=tail)
    return found.baseline_tok[2].tolist()


def test_equal_weights_give_the_mean_of_those_that_are_left_and_the_tail_is_one_of_three() -> None:
    assert at_equal_weights("zero") == pytest.approx([10 / 3, 2.0, 0.0])
    assert at_equal_weights("own") == pytest.approx([10 / 3, 2.0, 1.0])
    assert at_equal_weights("last_shared") == pytest.approx([10 / 3, 2.0, 2.0])


def test_a_group_of_one_has_none() -> None:
    ones = torch.ones(2, 3, dtype=torch.float64)
    for tail in TAILS:
        found = token_baseline(ones, ones, ones.bool(), torch.tensor([0, 1]), eps=1e-8, tail=tail)
        assert not found.baseline_tok.any()
        assert found.tail_tok.all()


# A bandit: softmax over four actions, tenths of probability, so that ten responses are the whole distribution.
TENTHS, REWARDS = (5, 3, 1, 1), (0.2, 1.0, 3.0, -1.0)


def bandit() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probability, reward and squared gradient in the logits of each of the ten responses."""
    p = torch.tensor(TENTHS, dtype=torch.float64) / 10
    taken = torch.repeat_interleave(torch.arange(4), torch.tensor(TENTHS))
    slopes = torch.nn.functional.one_hot(taken, 4) - p
    return slopes, torch.tensor(REWARDS, dtype=torch.float64)[taken], slopes.square().sum(dim=1)


def variance(baseline: float) -> float:
    """Trace of the covariance of (R - B) d log pi / d logits, by enumeration."""
    slopes, reward, _ = bandit()
    estimate = (reward - baseline).unsqueeze(1) * slopes
    return float((estimate - estimate.mean(dim=0)).square().sum(dim=1).mean())


def test_on_a_bandit_no_baseline_has_less_variance_and_the_mean_has_more() -> None:
    _, reward, square = bandit()
    mask = torch.ones(10, 1, dtype=torch.bool)
    group = torch.zeros(10, dtype=torch.long)
    found = token_baseline(reward[:, None], square[:, None], mask, group, eps=1e-12, tail="own")
    best = float(found.baseline_tok[0, 0])
    assert best == pytest.approx(float((reward * square).sum() / square.sum()))
    assert variance(best) < 0.99 * variance(float(reward.mean()))
    assert all(variance(best) < variance(best + shift) for shift in (-0.5, -0.01, 0.01, 0.5))


def test_with_parameters_of_their_own_for_each_token_the_sum_over_the_prefix_is_not_the_best_weight() -> None:
    """Then the variance is a sum over tokens of E[w_t (R - B_t)^2], and W can do worse than the mean.

    First tokens pull with w_1 of 2 and 0.1, second ones with w_2 of 0.1 and 1; the reward follows w_1.
    """
    first, second, reward = torch.tensor([[2.0, 0.1, 1.0], [0.1, 1.0, 0.0]], dtype=torch.float64).T
    ones, group = torch.ones(2, 2, dtype=torch.bool), torch.zeros(2, dtype=torch.long)
    to_go, squares = reward[:, None].expand(2, 2), torch.stack([first, second], dim=1)
    b = token_baseline(to_go, squares, ones, group, eps=1e-12, tail="own").baseline_tok[0, 1]

    def scatter(baseline):
        return float((second * (reward - baseline).square()).mean())

    assert scatter((reward * second).sum() / second.sum()) < scatter(reward.mean()) < scatter(b)
