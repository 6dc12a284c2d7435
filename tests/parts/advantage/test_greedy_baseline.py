import pytest
import torch

from support.evidence import evidence
from support.objectives import component


def test_worked_gains_fall_towards_the_beginning() -> None:
    given = evidence([1.0, 0.0], lengths=[3, 1], greedy_reward_seq=torch.tensor([0.5, 0.25]))
    found = component("advantage", "greedy_baseline", discount=0.9).estimate(given).advantage_tok
    assert found[0].tolist() == pytest.approx([0.5 * 0.729, 0.5 * 0.81, 0.5 * 0.9], abs=1e-6)
    assert found[1].tolist() == pytest.approx([-0.225, 0.0, 0.0], abs=1e-6)


def test_the_gain_is_clipped_and_the_penalty_is_each_tokens_own() -> None:
    given = evidence(
        [100.0], lengths=[2], greedy_reward_seq=torch.zeros(1), token_reward_tok=torch.tensor([[-0.1, -0.3]])
    )
    found = component("advantage", "greedy_baseline", discount=1.0).estimate(given).advantage_tok
    assert found[0].tolist() == pytest.approx([4.9, 4.7])
