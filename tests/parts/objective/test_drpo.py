import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, OLD, golden_batch, golden_loss, objective, token_gradient, told
from support.objectives import current as now

RATIO = (NEW - OLD).exp()[MASK]


@pytest.mark.parametrize(
    ("delta", "loss", "weights"),
    [
        (0.15, -0.431037, [0.333333, 0.333333, 1.333333, 0.333333, 0.466667]),
        (12.5, -0.537595, [0.992, 0.992, 1.004, 0.992, 0.9936]),
    ],
)
def test_worked_losses_weights_and_gradients(delta: float, loss: float, weights: list[float]) -> None:
    made = objective("drpo", delta=delta)
    assert golden_loss(made) == pytest.approx(loss, abs=1e-6)
    assert (1 - told(made).metrics_tok["brake"])[MASK].tolist() == pytest.approx(weights, abs=1e-6)
    expected = -ADVANTAGE[MASK] * RATIO * torch.tensor(weights)
    assert torch.allclose(token_gradient(made, NEW), expected, atol=1e-6)


def test_beyond_delta_the_gradient_points_back() -> None:
    """Probabilities moved by 0.1, 0.1, -0.05 with A = 1 and by -0.1, -0.08 with A = -1; delta 0.09."""
    made = objective("drpo", delta=0.09)
    answer, gradient = told(made), token_gradient(made, NEW)
    assert answer.metrics_tok["reversed"][MASK].tolist() == [1, 1, 0, 1, 0]
    assert (gradient * -ADVANTAGE[MASK] < 0).tolist() == [True, True, False, True, False]


def test_the_papers_delta_holds_nothing() -> None:
    """No probability moves by more than 1: here by all of it."""
    made = objective("drpo")
    for before, after, advantage in ((1e-6, 1.0, 1.0), (1.0, 1e-6, -1.0), (1e-6, 1.0, -1.0)):
        old = golden_batch(
            logp_rollout_tok=torch.full((2, 3), before).log(), advantage_tok=torch.full((2, 3), advantage)
        )
        weight = 1 - told(made, now(torch.full((2, 3), after).log()), old).metrics_tok["brake"]
        assert ((weight >= 0.92 - 1e-6) & (weight <= 1.08 + 1e-6)).all()


def test_the_greatest_move_and_brake_are_told() -> None:
    answer = told(objective("drpo", delta=0.15))
    greatest = {name: value[MASK].max().item() for name, value in answer.greatest_tok.items()}
    assert greatest == pytest.approx({"divergence": 0.1, "brake": 1 - 1 / 3}, abs=1e-6)
