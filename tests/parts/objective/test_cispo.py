import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, golden_loss, objective, token_gradient, told


def test_worked_numbers_with_bounds_on_both_sides() -> None:
    made = objective("cispo", clip_range=0.2)
    weight = told(made).metrics_tok["weight"][MASK]
    assert weight.tolist() == pytest.approx([1.2, 1.28, 0.944444, 0.8, 0.8], abs=1e-6)
    assert golden_loss(made) == pytest.approx(-0.357046, abs=1e-6)


def test_no_token_loses_its_gradient() -> None:
    made = objective("cispo", clip_range=0.2)
    weight = told(made).metrics_tok["weight"][MASK]
    assert torch.allclose(token_gradient(made, NEW), -weight * ADVANTAGE[MASK])
    assert told(made).clipped_tok is None


def test_without_a_lower_bound_small_ratios_stay() -> None:
    weight = told(objective("cispo")).metrics_tok["weight"][MASK]
    assert weight.tolist() == pytest.approx([1.2, 1.28, 0.944444, 0.75, 0.2], abs=1e-6)
