import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from safelab.maths.weighting import anchored_weight, boltzmann_weight, gamma_weight


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Two responses: probabilities .09 and .04 under the sampling policy, .09 and .07 under the prior.
LOG_PRIOR_RATIO = tensor(0.09 / 0.09, 0.07 / 0.04).log()


def test_anchored_by_worked_numbers() -> None:
    alone = anchored_weight(LOG_PRIOR_RATIO, tensor(0.0, 0.0), 0.1, 0.05, 20.0)
    torch.testing.assert_close(alone, tensor(1.0, 1.057557), atol=1e-6, rtol=0)
    both = anchored_weight(LOG_PRIOR_RATIO, tensor(0.1, -0.1), 0.1, 0.05, 20.0)
    torch.testing.assert_close(both, tensor(7.389056, 0.143125), atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight_max", [7.0, 20.0, 30.0, 100.0])
def test_an_anchored_weight_that_overflows_is_the_largest_to_the_bit(weight_max: float) -> None:
    weight = anchored_weight(torch.tensor([50.0, -50.0]), torch.tensor([100.0, -100.0]), 1.0, 0.05, weight_max)
    assert weight.tolist() == [weight_max, 0.0]


def test_boltzmann_by_worked_numbers() -> None:
    reward, log_prior = tensor(1.0, 0.0), tensor(0.09, 0.07).log()
    weight = boltzmann_weight(reward, 1.0, log_prior)
    torch.testing.assert_close(weight, tensor(0.777527, 0.222473), atol=1e-6, rtol=0)
    torch.testing.assert_close(boltzmann_weight(reward, 1.0), tensor(math.e, 1.0) / (math.e + 1.0))


def test_a_prior_of_a_thousand_nats_is_a_number() -> None:
    weight = boltzmann_weight(torch.tensor([0.0, 0.0]), 1.0, torch.tensor([-1000.0, -1000.0 + math.log(3.0)]))
    torch.testing.assert_close(weight, torch.tensor([0.25, 0.75]), atol=1e-4, rtol=0)


def test_the_limits_of_beta() -> None:
    reward, log_prior = tensor(1.0, 0.9), tensor(0.2, 0.6).log()
    torch.testing.assert_close(boltzmann_weight(reward, 1e-3, log_prior), tensor(1.0, 0.0))
    torch.testing.assert_close(boltzmann_weight(reward, 1e9, log_prior), tensor(0.25, 0.75))
    torch.testing.assert_close(anchored_weight(reward, reward, 0.0, 1e9, 20.0), tensor(1.0, 1.0))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6), st.floats(-50, 50))
def test_boltzmann_sums_to_one_and_ignores_a_constant(rewards: list[float], shift: float) -> None:
    reward = tensor(*rewards)
    weight = boltzmann_weight(reward, 2.0)
    assert weight.sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(boltzmann_weight(reward + shift, 2.0), weight)


def test_weights_carry_no_gradient() -> None:
    reward, log_prior = tensor(1.0, 0.0).requires_grad_(), tensor(0.0, 0.0).requires_grad_()
    assert not boltzmann_weight(reward, 1.0, log_prior).requires_grad
    assert not anchored_weight(log_prior, reward, 0.1, 0.05, 20.0).requires_grad


def test_worked_gamma_weights() -> None:
    """W 1.7 with k 2, lam 3, and W 0.15 with k 3, lam 2; the greatest values 1.208125 and 1.241593 at W = k / lam."""
    for ratio, power, decay, expected in (
        (1.7, 2.0, 3.0, 0.353899),
        (0.15, 3.0, 2.0, 0.018475),
        (2 / 3, 2.0, 3.0, 1.208125),
        (1.5, 3.0, 2.0, 1.241593),
        (1.0, 3.0, 2.0, 1.0),
    ):
        assert gamma_weight(torch.tensor(ratio).log(), power, decay).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("power", "decay"), [(2.0, 3.0), (3.0, 2.0)])
def test_the_gamma_weight_is_a_gamma_density_up_to_its_value_at_one(power: float, decay: float) -> None:
    log_ratio = torch.linspace(-18, 5, 40, dtype=torch.float64)
    density = stats.gamma(power + 1, scale=1 / decay).pdf(log_ratio.exp().numpy())
    expected = density / stats.gamma(power + 1, scale=1 / decay).pdf(1.0)
    assert gamma_weight(log_ratio, power, decay).numpy() == pytest.approx(expected, rel=1e-9)


def test_the_gamma_weight_is_finite_and_silent_far_away() -> None:
    assert gamma_weight(torch.tensor([-20.0, 20.0]), 2.0, 3.0).tolist() == pytest.approx([0.0, 0.0], abs=1e-15)
