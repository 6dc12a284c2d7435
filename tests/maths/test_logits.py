from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import optimize, special, stats

from safelab.maths.logits import dense_optimal_logp, logits_distance, optimal_logp

OLD = torch.tensor([1.0, 0.0, -1.0])
TARGET = OLD + torch.tensor([1.0, 0.0, 0.0])


@pytest.mark.parametrize(("kind", "expected"), [("mse", 0.333333), ("lch", 0.433781), ("kld", 0.0815547)])
def test_worked_distances_of_raw_logits(kind: str, expected: float) -> None:
    assert logits_distance(OLD, TARGET, kind).item() == pytest.approx(expected, abs=1e-6)


def test_the_optimum_is_the_tilted_distribution() -> None:
    found = optimal_logp(OLD.log_softmax(0), torch.tensor(0), torch.tensor(1.0), beta=1.0).exp()
    assert found.tolist() == pytest.approx([0.843795, 0.114195, 0.042010], abs=1e-6)
    tilted = OLD.softmax(0) * torch.tensor([1.0, 0.0, 0.0]).exp()
    assert torch.allclose(found, tilted / tilted.sum())


@pytest.mark.parametrize("kind", ["mse", "lch", "kld"])
def test_far_logits_give_numbers(kind: str) -> None:
    z = torch.tensor([80.0, -80.0, 0.0], requires_grad=True)
    loss = logits_distance(z.log_softmax(0), OLD.log_softmax(0), kind)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("advantage", [-1.5, 0.8])
def test_the_optimum_is_what_a_search_for_it_finds(beta: float, advantage: float) -> None:
    """``max_pi E_pi[A] - beta KL(pi || pi_old)``, A of the sampled token, by a numerical search over the simplex."""
    old, token = np.array([0.1, 0.35, 0.05, 0.3, 0.2]), 3

    def loss(logits: np.ndarray) -> float:
        pi = special.softmax(logits)
        return float(beta * special.rel_entr(pi, old).sum() - advantage * pi[token])

    best = optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-10}).x
    found = optimal_logp(torch.tensor(old).log(), torch.tensor(token), torch.tensor(advantage).double(), beta)
    assert found.exp().tolist() == pytest.approx(special.softmax(best).tolist(), abs=1e-6)


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "mse": lambda z, target: float(np.mean((z - target) ** 2)),
    "lch": lambda z, target: float(np.log(np.cosh(z - target)).sum()),
    "kld": lambda z, target: float(stats.entropy(special.softmax(target), special.softmax(z))),
}


@pytest.mark.parametrize("kind", ["mse", "lch", "kld"])
def test_each_distance_is_its_equation(kind: str) -> None:
    z, target = np.random.default_rng(0).normal(size=(2, 4, 6))
    found = logits_distance(torch.tensor(z), torch.tensor(target), kind)
    expected = [ORACLES[kind](*rows) for rows in zip(z, target, strict=True)]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["mse", "lch", "kld"])
def test_each_distance_is_least_at_its_target(kind: str) -> None:
    start, target = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 5)))

    def loss(logits: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.tensor(logits, requires_grad=True)
        found = logits_distance(z.log_softmax(0), target.log_softmax(0), kind)
        found.backward()
        return found.item(), z.grad.numpy()

    best = optimize.minimize(loss, start.numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    assert best.fun == pytest.approx(0.0, abs=1e-12)
    assert special.softmax(best.x).tolist() == pytest.approx(target.softmax(0).tolist(), abs=1e-6)


def test_the_dense_optimum_is_the_tilt_by_standard_scores() -> None:
    old, judged = np.random.default_rng(2).normal(size=(2, 3, 5))
    found = dense_optimal_logp(torch.tensor(old), torch.tensor(judged), beta=0.7).exp().numpy()
    tilted = np.exp(old) * np.exp(stats.zscore(judged, axis=-1, ddof=1) / 0.7)
    assert found == pytest.approx(tilted / tilted.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("judged", [torch.full((4,), -0.3), torch.full((4,), -17.1)])
def test_a_judge_that_finds_all_alike_changes_nothing(judged: torch.Tensor) -> None:
    old = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert torch.equal(dense_optimal_logp(old, judged, beta=0.01), old.log_softmax(-1))


def test_what_a_judge_adds_to_all_tokens_changes_nothing() -> None:
    old, judged = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = [dense_optimal_logp(old, judged + shift, beta=2.0) for shift in (0.0, -30.0)]
    assert torch.allclose(*found)
