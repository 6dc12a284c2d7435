import math

import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, OLD, golden_batch, golden_loss, objective, token_gradient, told
from support.objectives import current as now

RATIO = (NEW - OLD).exp()


def test_worked_gates_and_losses() -> None:
    answer = told(objective("sapo"))
    gates = (answer.loss_tok / -ADVANTAGE)[MASK]
    assert gates.tolist() == pytest.approx([2.199336, 2.489837, 1.944459, 1.656188, 1.148704], abs=1e-6)
    assert answer.metrics_tok["gate"][MASK].tolist() == pytest.approx(
        [0.990066, 0.940015, 0.999229, 0.982969, 0.842446], abs=1e-6
    )
    assert golden_loss(objective("sapo")) == pytest.approx(-0.765748, abs=1e-6)
    assert golden_loss(objective("sapo"), "sequence_mean") == pytest.approx(-0.404382, abs=1e-6)


def test_worked_gradient_of_the_mean_over_responses() -> None:
    per_token = token_gradient(objective("sapo"), NEW)
    shares = torch.tensor([1 / 6, 1 / 6, 1 / 6, 1 / 4, 1 / 4])
    expected = [-0.198013, -0.235004, -0.157286, 0.184307, 0.042122]
    assert (per_token * shares).tolist() == pytest.approx(expected, abs=1e-6)


def test_the_gradient_is_that_of_finite_differences() -> None:
    made, step = objective("sapo"), 1e-6
    up, down = (told(made, now(NEW.double() + way * step)).loss_tok[MASK] for way in (1, -1))
    found = token_gradient(made, NEW.double())
    assert torch.allclose(found, (up - down) / (2 * step), atol=1e-6)


def test_the_loss_at_the_old_policy_is_no_mean_of_advantages() -> None:
    """-2 A / tau: with one number for both signs of A the golden batch would have -0.4, as it has none at r = 1."""
    at_old = golden_batch(logp_rollout_tok=NEW)
    loss = told(objective("sapo"), now(NEW), at_old).loss_tok[MASK].mean()
    assert loss.item() == pytest.approx((-2 * 3 + 2 / 1.05 * 2) / 5, abs=1e-6)
    assert loss.item() == pytest.approx(-0.438095, abs=1e-6)


@pytest.mark.parametrize("ratio", [0.2, 5.0])
def test_a_token_is_damped_on_both_sides_and_never_stopped(ratio: float) -> None:
    far = golden_batch(logp_rollout_tok=NEW - math.log(ratio))
    gate = told(objective("sapo"), now(NEW), far).metrics_tok["gate"][MASK]
    assert ((gate > 0) & (gate < 0.9)).all()
    assert not told(objective("sapo"), now(NEW), far).clipped_tok.any()


def test_the_log_parts_gates_by_the_sign_of_the_advantage() -> None:
    told_of = told(objective("sapo")).metrics_tok
    gain, share = told_of["gate_gain"][MASK].mean(), told_of["gain_share"][MASK].mean()
    assert (gain / share).item() == pytest.approx((0.990066 + 0.940015 + 0.999229) / 3, abs=1e-6)
