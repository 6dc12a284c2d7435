import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.soft_min import soft_min

heads = st.lists(st.floats(-50, 50), min_size=1, max_size=5)
temperatures = st.floats(0.01, 100)


def of(values, temperature):
    return soft_min(torch.tensor(values, dtype=torch.float64), temperature).item()


def test_worked_numbers():
    assert of([0.5, 0.8], 0.3) == pytest.approx(0.613966, abs=1e-6)
    assert of([0.0, 1.0], 0.3) == pytest.approx(0.197, abs=1e-3)


def test_limits():
    assert of([0.5, 0.8], 1e-4) == pytest.approx(0.5 + 1e-4 * math.log(2), abs=1e-9)
    assert of([0.5, 0.8], 1e6) == pytest.approx(0.65, abs=1e-6)
    assert of([0.7, 0.7, 0.7], 0.3) == pytest.approx(0.7, abs=1e-12)
    assert of([-4.2], 0.3) == pytest.approx(-4.2, abs=1e-12)


def test_gradient_is_the_softmax_weight():
    values = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    soft_min(values, 0.3).backward()
    assert values.grad is not None
    assert values.grad.tolist() == pytest.approx([0.965555, 0.034445], abs=1e-6)  # 1 / (1 + exp(-1 / .3))


@given(heads, temperatures)
def test_between_minimum_and_mean(values, temperature):
    combined = of(values, temperature)
    assert min(values) - 1e-9 <= combined <= sum(values) / len(values) + 1e-9
    assert combined <= min(values) + temperature * math.log(len(values)) + 1e-9


@given(heads, temperatures, st.randoms(use_true_random=False))
def test_order_of_heads_does_not_matter(values, temperature, random):
    shuffled = random.sample(values, len(values))
    assert of(shuffled, temperature) == pytest.approx(of(values, temperature), abs=1e-9)


def test_only_the_last_axis_is_combined_and_large_values_stay_finite():
    values = torch.full((2, 3, 2), 1e6)
    assert soft_min(values, 0.01).shape == (2, 3)
    assert torch.isfinite(soft_min(values, 0.01)).all()
