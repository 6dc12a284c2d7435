import pytest
import torch

from safelab.maths.logits import logits_distance, optimal_logp

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
