"""Directions, links and the estimate that is made of them, against closed forms, enumeration and SciPy."""

import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import norm

from safelab.maths.zeroth_order import block, block_vector, direction, gap_of, margin_of, preferred, sphere
from safelab.types import Link

THETA = torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)
MU = 0.05
SHAPES = [torch.Size([3, 4]), torch.Size([5]), torch.Size([2, 2])]
LINKS: list[Link] = ["logistic", "probit"]


def whole(pieces: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([piece.flatten() for piece in pieces]).double()


def value(theta: torch.Tensor) -> torch.Tensor:
    """V = -|theta|^2, whose gradient is -2 theta."""
    return -theta.square().sum(dim=-1)


def voted_gap(better: torch.Tensor, worse: torch.Tensor, link: Link = "logistic") -> torch.Tensor:
    """What an oracle of infinitely many voters says of the difference of two values."""
    return gap_of(link, preferred(link, better - worse), trim=1e-9, link_temperature=1.0)


@pytest.mark.parametrize("link", LINKS)
def test_the_links_are_scipys(link: Link) -> None:
    margins = torch.linspace(-3, 3, 13, dtype=torch.float64)
    theirs = {"logistic": expit, "probit": norm.cdf}[link](margins.numpy())
    assert np.allclose(preferred(link, margins).numpy(), theirs, atol=1e-12)
    assert torch.allclose(margin_of(link, preferred(link, margins)), margins, atol=1e-9)


def test_shares_by_hand() -> None:
    shares = torch.tensor([0.7, 0.5, 0.0, 1.0], dtype=torch.float64)
    # Trimmed to [0.05, 0.95]: log(0.95 / 0.05) = log 19 at most. Twice, as the temperature is 2.
    wanted = [2 * math.log(7 / 3), 0.0, -2 * math.log(19), 2 * math.log(19)]
    assert gap_of("logistic", shares, 0.05, 2.0).tolist() == pytest.approx(wanted)
    assert gap_of("probit", shares, 0.05, 2.0).tolist() == pytest.approx(
        [2 * norm.ppf(0.7), 0.0, -3.2897, 3.2897], abs=1e-4
    )


@pytest.mark.parametrize("block_size", [None, 7])
def test_a_direction_is_a_unit_vector_that_can_be_made_again(block_size: int | None) -> None:
    first, again = ([*direction(SHAPES, block_size, seed=5)] for _ in range(2))
    assert [piece.shape for piece in first] == SHAPES
    assert float(whole(first).norm()) == pytest.approx(1.0, abs=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(whole(first), whole([*direction(SHAPES, block_size, seed=6)]))


def test_a_block_has_equal_steps_at_different_coordinates() -> None:
    vector = whole([*block(SHAPES, 7, seed=3)])
    assert vector[vector != 0].abs().tolist() == pytest.approx([1 / math.sqrt(7)] * 7)
    assert int((vector != 0).sum()) == 7
    assert (whole([*block(SHAPES, 21, seed=3)]) != 0).all()


@pytest.mark.parametrize("block_size", [None, 3])
def test_directions_have_the_covariance_that_the_factor_d_wants(block_size: int | None) -> None:
    """E[v v^T] = I / d, within four standard errors of 4,000 draws (an entry's deviation is below sqrt(2) / d)."""
    shapes, draws = [torch.Size([2]), torch.Size([2])], 4000
    vectors = torch.stack([whole([*direction(shapes, block_size, seed)]) for seed in range(draws)])
    found = vectors.T @ vectors / draws
    assert (found - torch.eye(4) / 4).abs().max() < 4 * math.sqrt(2) / 4 / math.sqrt(draws)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_block_form_is_unbiased_over_all_blocks_and_signs(size: int) -> None:
    """Enumerated: E[v v^T] = I / d, and E[(d / mu) gap v] is the gradient, as the square of mu v falls out by sign."""
    vectors = torch.stack(
        [
            block_vector(4, torch.tensor(chosen), torch.tensor(signs), size).double()
            for chosen in combinations(range(4), size)
            for signs in product((-1.0, 1.0), repeat=size)
        ]
    )
    assert torch.allclose(vectors.T @ vectors / len(vectors), torch.eye(4, dtype=torch.float64) / 4, atol=1e-7)
    gaps = voted_gap(value(THETA + MU * vectors), value(THETA))
    estimate = 4 / MU * (gaps[:, None] * vectors).mean(dim=0)
    assert torch.allclose(estimate, -2 * THETA, atol=1e-5)


@pytest.mark.parametrize("link", LINKS)
def test_on_the_sphere_a_known_gradient_is_met_within_its_standard_error(link: Link) -> None:
    """V = -|theta|^2 has the gradient (-.6, .4, -.2, -1)."""
    vectors = torch.stack([whole([*sphere([THETA.shape], seed)]) for seed in range(4000)])
    gaps = voted_gap(value(THETA + MU * vectors), value(THETA), link)
    estimates = 4 / MU * gaps[:, None] * vectors
    error = estimates.std(dim=0) / math.sqrt(len(estimates))
    assert ((estimates.mean(dim=0) - torch.tensor([-0.6, 0.4, -0.2, -1.0])).abs() < 4 * error).all()
    assert error.max() < 0.05


def test_on_a_bandit_the_estimate_is_the_policy_gradient_within_its_standard_error() -> None:
    """Softmax over three arms; each pair is one pull by either policy, and dV/dtheta_i = pi_i (r_i - V)."""
    theta, reward, mu, pairs = (
        torch.tensor([0.2, -0.4, 0.1]).double(),
        torch.tensor([1.0, 0.0, -0.5]).double(),
        0.2,
        200,
    )
    policy = theta.softmax(dim=0)
    gradient = policy * (reward - policy @ reward)
    drawn = torch.Generator().manual_seed(0)
    estimates = []
    for seed in range(3000):
        vector = whole([*sphere([theta.shape], seed)])
        moved = (theta + mu * vector).softmax(dim=0)
        one, other = (reward[torch.multinomial(p, pairs, True, generator=drawn)] for p in (moved, policy))
        estimates.append(3 / mu * voted_gap(one, other).mean() * vector)
    found = torch.stack(estimates)
    error = found.std(dim=0) / math.sqrt(len(found))
    # What mu leaves of bias is of the order mu^2 (its first order is even in v): a hundredth here.
    assert ((found.mean(dim=0) - gradient).abs() < 4 * error + 0.01).all()
    assert error.max() < 0.03 < gradient.abs().max()
