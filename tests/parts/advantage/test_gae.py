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
