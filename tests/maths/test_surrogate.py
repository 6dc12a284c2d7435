import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok, value_loss

# Two responses, of 3 and 2 tokens, with advantages +1 and -1.
RATIO = torch.tensor([1.2, 1.5, 17 / 18, 0.75, 0.2], dtype=torch.float64)
ADVANTAGE = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(x: torch.Tensor, *expected: float) -> None:
    torch.testing.assert_close(x, tensor(*expected), atol=1e-6, rtol=0)


def test_clip_by_worked_numbers():
    loss = ppo_clip_tok(RATIO.log(), ADVANTAGE, 0.2, 0.2, None)
    close(loss, -1.2, -1.2, -0.944444, 0.8, 0.8)
    assert loss.mean().item() == pytest.approx(-0.348889, abs=1e-6)
    assert (loss[:3].mean() + loss[3:].mean()).item() / 2 == pytest.approx(-0.157407, abs=1e-6)


def test_a_higher_upper_bound_by_worked_numbers():
    loss = ppo_clip_tok(RATIO.log(), ADVANTAGE, 0.2, 0.28, None)
    assert loss.mean().item() == pytest.approx(-0.364889, abs=1e-6)


def test_gradient_lives_inside_the_bounds_and_where_a_step_helps():
    # Off the edge by a hair: at 1.2 rounding decides.
    log_ratio = tensor(1.2 - 1e-9, 1.5, 17 / 18, 0.75, 0.2).log().requires_grad_()
    ppo_clip_tok(log_ratio, ADVANTAGE, 0.2, 0.2, None).sum().backward()
    assert log_ratio.grad is not None
    # -A r where it lives: tokens 1 and 3
    close(log_ratio.grad, -1.2, 0, -0.944444, 0, 0)
    stopped = ppo_clipped_tok(log_ratio.detach(), ADVANTAGE, 0.2, 0.2, None)
    assert stopped.tolist() == [False, True, False, True, True]


def test_dual_clip_by_worked_numbers():
    log_ratio = tensor(math.log(5.0)).requires_grad_()
    bad = tensor(-1.0)
    assert ppo_clip_tok(log_ratio, bad, 0.2, 0.2, None).item() == pytest.approx(5)
    loss = ppo_clip_tok(log_ratio, bad, 0.2, 0.2, 3.0)
    assert loss.item() == 3
    loss.sum().backward()
    assert log_ratio.grad is not None
    assert log_ratio.grad.item() == 0
    assert ppo_clipped_tok(log_ratio.detach(), bad, 0.2, 0.2, 3.0).item()
    assert not ppo_clipped_tok(log_ratio.detach(), bad, 0.2, 0.2, None).item()


def test_dual_clip_leaves_good_tokens_alone():
    good = tensor(1.0)
    assert ppo_clip_tok(tensor(0.1), good, 0.2, 0.2, 3.0).item() == pytest.approx(-math.exp(0.1), abs=1e-12)


def test_at_ratio_one_the_gradient_is_that_of_reinforce():
    advantage = tensor(0.7, -1.3, 0.0)
    logp = tensor(-1.0, -2.0, -3.0).requires_grad_()
    ppo_clip_tok(logp - logp.detach(), advantage, 0.2, 0.2, 3.0).sum().backward()
    assert logp.grad is not None
    torch.testing.assert_close(logp.grad, -advantage, atol=1e-12, rtol=0)


def test_extreme_log_ratios_stay_finite_and_count_as_stopped():
    log_ratio, advantage = tensor(500.0, -500.0, 500.0), tensor(-1.0, 1.0, 0.0)
    assert torch.isfinite(ppo_clip_tok(log_ratio, advantage, 0.2, 0.2, None)).all()
    assert ppo_clipped_tok(log_ratio, advantage, 0.2, 0.2, None).tolist() == [True, True, False]


@given(
    st.floats(-25, 25),
    st.floats(-5, 5).filter(lambda a: abs(a) > 1e-3),
    st.floats(0.01, 0.9),
    st.floats(0.01, 2.0),
    st.sampled_from([None, 3.5]),
)
def test_stopped_is_exactly_where_the_gradient_is_zero(log_ratio, advantage, low, high, dual):
    edges = [math.log(1 - low), math.log(1 + high), 20.0, -20.0] + ([math.log(dual)] if dual else [])
    if min(abs(log_ratio - edge) for edge in edges) < 1e-6:
        return
    x, a = tensor(log_ratio).requires_grad_(), tensor(advantage)
    ppo_clip_tok(x, a, low, high, dual).sum().backward()
    assert x.grad is not None
    assert ppo_clipped_tok(x.detach(), a, low, high, dual).item() == (x.grad.item() == 0)


@given(st.floats(-3, 3), st.floats(-5, 5))
def test_the_clipped_loss_is_never_below_the_unclipped(log_ratio, advantage):
    loss = ppo_clip_tok(tensor(log_ratio), tensor(advantage), 0.2, 0.2, None).item()
    assert loss >= -advantage * math.exp(log_ratio) - 1e-9


def huber_by_its_equation(error: torch.Tensor, delta: float) -> torch.Tensor:
    """``e^2 / 2`` where |e| <= delta, else ``delta (|e| - delta / 2)``."""
    size = error.abs()
    return torch.where(size <= delta, 0.5 * error.square(), delta * (size - 0.5 * delta))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("delta", [0.5, 1.0])  # every configuration's, and one more that float32 holds exactly
@given(errors=st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=40), weight=st.floats(-2, 2, width=32))
def test_huber_is_its_equation_to_the_bit(dtype, delta, errors, weight):
    kink = torch.tensor(delta, dtype=dtype)
    beside = [torch.nextafter(kink, torch.tensor(to, dtype=dtype)) for to in (0.0, 9.0)]
    error = torch.stack([*torch.tensor(errors, dtype=dtype), kink, -kink, *beside, *(-near for near in beside)])

    def through(loss):
        x = error.clone().requires_grad_()
        found = loss(x)
        (weight * found).sum().backward()
        return found.detach(), x.grad

    def used(x):
        return value_loss(
            x, torch.zeros_like(x), torch.zeros_like(x), kind="huber", huber_delta=delta, clip="none", clip_range=1.0
        )

    (found, slope), (expected, expected_slope) = through(used), through(lambda x: huber_by_its_equation(x, delta))
    assert torch.equal(found, expected)
    assert torch.equal(slope, expected_slope)


V, V_OLD = 0.9, 0.5  # clipped by 0.2 to 0.7


@pytest.mark.parametrize(
    ("kind", "clip", "target", "expected"),
    [
        ("mse", "none", 1.2, 0.045),  # .3^2 / 2
        ("mse", "max", 1.2, 0.125),  # .5^2 / 2
        ("mse", "sum", 1.2, 0.085),  # (.045 + .125) / 2
        ("huber", "none", 2.0, 0.425),  # .5 (1.1 - .25)
        ("huber", "max", 2.0, 0.525),  # .5 (1.3 - .25)
        ("huber", "sum", 2.0, 0.475),
        ("huber", "none", 1.2, 0.045),
    ],
)
def test_value_loss_by_hand(kind, clip, target, expected):
    loss = value_loss(tensor(V), tensor(V_OLD), tensor(target), kind=kind, huber_delta=0.5, clip=clip, clip_range=0.2)
    assert loss.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ("none", -0.3),  # V - R
        ("max", 0.0),  # the clipped term is the larger one and does not move
        ("sum", -0.15),  # half of the unclipped term: the clip does not stop it
    ],
)
def test_value_loss_gradient_outside_the_range(clip, expected):
    value = tensor(V).requires_grad_()
    value_loss(
        value, tensor(V_OLD), tensor(1.2), kind="mse", huber_delta=0.5, clip=clip, clip_range=0.2
    ).sum().backward()
    assert value.grad is not None
    assert value.grad.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["mse", "huber"])
@given(st.floats(-0.2, 0.2), st.floats(-3, 3))
def test_inside_the_range_all_clips_agree(kind, step, target):
    losses = [
        value_loss(
            tensor(0.5 + step), tensor(0.5), tensor(target), kind=kind, huber_delta=0.5, clip=clip, clip_range=0.2
        ).item()
        for clip in ("none", "max", "sum")
    ]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-9)
