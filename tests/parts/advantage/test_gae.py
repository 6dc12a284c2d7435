import statistics

import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def estimate(whiten: bool):
    given = evidence(
        [1.0],
        lengths=[3],
        columns=4,
        token_reward_tok=torch.tensor([[-0.01, -0.02, 0.0, 0.0]]),
        values=torch.tensor([[0.2, 0.4, 0.5, 9.0]]),
        bootstrap_values=torch.tensor([[0.2, 0.4, 0.5, 9.0]]),
    )
    return component("advantage", "gae", discount=1.0, trace_decay=0.95, whiten=whiten).estimate(given)


def test_worked_numbers() -> None:
    got = estimate(whiten=False)
    assert got.advantage_tok[0].tolist() == pytest.approx([0.71725, 0.555, 0.5, 0.0], abs=1e-6)
    assert got.returns[0, :3].tolist() == pytest.approx([0.91725, 0.955, 1.0], abs=1e-6)


def test_whitened_worked_numbers() -> None:
    assert estimate(whiten=True).advantage_tok[0].tolist() == pytest.approx(
        [1.119954, -0.316509, -0.803445, 0.0], abs=1e-5
    )


def test_whitened_rewards_against_float64_loops() -> None:
    """Rewards of tokens, the KL's and the score, scaled to variance 1 about their own mean before anything else."""
    lengths, scores = [3, 2], [2.0, -1.0]
    kl = [[-0.3, 0.1, -0.2, 7.0], [0.4, -0.5, 7.0, 7.0]]  # 7 stands on padding
    values = [[0.2, 0.4, 0.5, 9.0], [-0.1, 0.3, 9.0, 9.0]]
    given = evidence(
        scores, lengths=lengths, columns=4, token_reward_tok=torch.tensor(kl), values=torch.tensor(values),
        bootstrap_values=torch.tensor(values),
    )  # fmt: skip
    got = component("advantage", "gae", whiten=False, whiten_rewards=True).estimate(given)
    rewards = [[*kl[row][: length - 1], kl[row][length - 1] + scores[row]] for row, length in enumerate(lengths)]
    seen = [reward for row in rewards for reward in row]
    mean, deviation = statistics.fmean(seen), statistics.stdev(seen)
    for row, length in enumerate(lengths):
        trace = 0.0
        for place in reversed(range(length)):
            later = values[row][place + 1] if place + 1 < length else 0.0
            reward = (rewards[row][place] - mean) / deviation + mean
            trace = reward + later - values[row][place] + 0.95 * trace
            assert float(got.advantage_tok[row, place]) == pytest.approx(trace, abs=1e-5)
            assert float(got.returns[row, place]) == pytest.approx(trace + values[row][place], abs=1e-5)
    assert got.advantage_tok[0, 3] == 0
    assert got.advantage_tok[1, 2:].tolist() == [0.0, 0.0]
