import pytest
import torch

from safelab.parts.objective.ratio_variance import DualState
from support.objectives import MASK, NEW, golden_loss, objective, token_gradient, told


def test_worked_loss_gradient_and_variance() -> None:
    made = objective("ratio_variance")
    assert golden_loss(made) == pytest.approx(-0.530924, abs=1e-6)
    assert (-token_gradient(made, NEW)).tolist() == pytest.approx([1.1808, 1.44, 0.948642, -0.735, -0.1872], abs=1e-6)
    assert told(made).metrics_tok["ratio_variance"][MASK].mean().item() == pytest.approx(0.199117, abs=1e-6)


@pytest.mark.parametrize(("bound", "expected"), [(0.05, 0.0549117), (0.2, 0.0399117)])
def test_worked_dual_steps(bound: float, expected: float) -> None:
    made = objective("ratio_variance", variance_bound=bound, multiplier_lr=0.1)
    assert made.step(made.init(), {"ratio_variance": 0.199117}).multiplier == pytest.approx(expected, abs=1e-7)


def test_the_multiplier_is_never_negative() -> None:
    made = objective("ratio_variance", variance_bound=5.0, multiplier_lr=10.0)
    assert made.step(made.init(), {"ratio_variance": 0.0}).multiplier == 0.0


def test_without_a_multiplier_it_is_the_policy_gradient_with_importance_weights() -> None:
    made = objective("ratio_variance", multiplier_start=0.0)
    ratio = torch.tensor([1.2, 1.5, 0.944444, -0.75, -0.2])
    assert torch.allclose(-token_gradient(made, NEW), ratio, atol=1e-6)


def test_the_state_is_what_a_checkpoint_holds() -> None:
    state = DualState(multiplier=0.125)
    assert DualState.model_validate(state.model_dump()) == state
