import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.divergence import clamp_log_ratio, entropy, exact_kl, k1, k2, k3, ratio_k1, topk_kl

# Probabilities of five sampled tokens under policy and reference.
POLICY = torch.tensor([0.6, 0.3, 0.85, 0.3, 0.02], dtype=torch.float64)
REFERENCE = torch.tensor([0.45, 0.25, 0.8, 0.35, 0.2], dtype=torch.float64)
LOG_RATIO = (POLICY / REFERENCE).log()

LOGITS = torch.tensor([0.3, -1.2, 0.8, 2.0, -0.4], dtype=torch.float64)
LOGITS_REF = torch.tensor([0.1, 0.5, -0.9, 1.0, 0.2], dtype=torch.float64)
LOGITS_OLD = torch.tensor([0.2, -0.7, 0.4, 1.1, 0.3], dtype=torch.float64)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (k1, [0.287682, 0.182322, 0.060625, -0.154151, -2.302585]),
        (k2, [0.041380, 0.016621, 0.001838, 0.011881, 2.650949]),
        (k3, [0.037682, 0.015655, 0.001801, 0.012516, 6.697415]),
    ],
)
def test_estimators_by_worked_numbers(estimator, expected):
    torch.testing.assert_close(estimator(LOG_RATIO), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_ratio_k1_is_k1_times_the_ratio():
    # exp(log 1.5) * log 2
    value = ratio_k1(torch.tensor(math.log(2)), torch.tensor(math.log(1.5)))
    assert value.item() == pytest.approx(1.5 * 0.693147, abs=1e-5)


def test_exact_kl_and_entropy_by_hand():
    # p = (1/2, 1/2), q = (1/4, 3/4): KL = 1/2 log 2 + 1/2 log(2/3) = 1/2 log(4/3)
    p, q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    assert exact_kl(p, q).item() == pytest.approx(0.143841, abs=1e-6)
    assert exact_kl(p, p).item() == 0
    assert entropy(p).item() == pytest.approx(0.693147, abs=1e-6)
    assert entropy(torch.full((2, 3, 7), -math.log(7))).shape == (2, 3)


def test_exact_kl_agrees_with_torch():
    p, q = LOGITS.log_softmax(-1), LOGITS_REF.log_softmax(-1)
    oracle = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
    torch.testing.assert_close(exact_kl(p, q), oracle, atol=1e-12, rtol=0)


def expected_gradient(estimate, sampler_logits: torch.Tensor) -> torch.Tensor:
    """Gradient in the policy's logits of ``estimate(logp)``, averaged exactly over the sampler's distribution."""
    logits = LOGITS.clone().requires_grad_()
    weights = sampler_logits.softmax(-1)
    (weights * estimate(logits.log_softmax(-1))).sum().backward()
    assert logits.grad is not None
    return logits.grad


def kl_gradient() -> torch.Tensor:
    """d KL(policy, ref) / d logits = p (d - KL), by hand."""
    p = LOGITS.softmax(-1)
    d = LOGITS.log_softmax(-1) - LOGITS_REF.log_softmax(-1)
    return p * (d - (p * d).sum())


REF = LOGITS_REF.log_softmax(-1)
OLD = LOGITS_OLD.log_softmax(-1)


def test_exact_kl_has_the_gradient_of_the_closed_form():
    logits = LOGITS.clone().requires_grad_()
    exact_kl(logits.log_softmax(-1), REF).backward()
    torch.testing.assert_close(logits.grad, kl_gradient(), atol=1e-9, rtol=0)


def test_k1_has_no_expected_gradient_on_policy():
    gradient = expected_gradient(lambda logp: k1(logp - REF), LOGITS)
    torch.testing.assert_close(gradient, torch.zeros(5, dtype=torch.float64), atol=1e-9, rtol=0)


def test_k2_has_the_gradient_of_kl_on_policy():
    gradient = expected_gradient(lambda logp: k2(logp - REF), LOGITS)
    torch.testing.assert_close(gradient, kl_gradient(), atol=1e-9, rtol=0)


def test_k3_has_the_gradient_of_the_other_direction_on_policy():
    gradient = expected_gradient(lambda logp: k3(logp - REF), LOGITS)
    # d KL(ref, policy) / d logits = p - p_ref
    torch.testing.assert_close(gradient, LOGITS.softmax(-1) - LOGITS_REF.softmax(-1), atol=1e-9, rtol=0)
    assert (gradient - kl_gradient()).abs().max() > 0.05


@pytest.mark.parametrize("sampler", [LOGITS, LOGITS_OLD], ids=["on_policy", "off_policy"])
def test_ratio_k1_has_the_gradient_of_kl_whoever_sampled(sampler):
    logp_sampler = sampler.log_softmax(-1)
    gradient = expected_gradient(lambda logp: ratio_k1(logp - REF, logp - logp_sampler), sampler)
    torch.testing.assert_close(gradient, kl_gradient(), atol=1e-9, rtol=0)


def test_ratio_k1_is_unbiased_off_policy_and_k1_is_not():
    logp = LOGITS.log_softmax(-1)
    kl = exact_kl(logp, REF)
    weights = OLD.exp()
    assert (weights * ratio_k1(logp - REF, logp - OLD)).sum().item() == pytest.approx(kl.item(), abs=1e-9)
    assert abs((weights * k1(logp - REF)).sum().item() - kl.item()) > 0.1


def test_k1_and_k3_are_unbiased_on_policy():
    p, d = LOGITS.softmax(-1), LOGITS.log_softmax(-1) - REF
    kl = exact_kl(LOGITS.log_softmax(-1), REF).item()
    assert (p * k1(d)).sum().item() == pytest.approx(kl, abs=1e-9)
    assert (p * k3(d)).sum().item() == pytest.approx(kl, abs=1e-9)


@given(st.floats(-15, 15))
def test_k2_and_k3_are_never_negative(d):
    ratio = torch.tensor([d], dtype=torch.float64)
    assert k2(ratio).item() >= 0
    assert k3(ratio).item() >= 0


def test_k3_keeps_its_digits_where_kl_is_tiny():
    # d^2 / 2 - d^3 / 6; exp(-d) + d - 1 in float32 would give 0
    assert k3(torch.tensor([1e-4], dtype=torch.float64)).item() == pytest.approx(4.99983e-9, rel=1e-4)
    assert k3(torch.zeros(3)).tolist() == [0, 0, 0]


def test_large_log_ratios_stay_finite():
    d = torch.tensor([-1e4, 1e4])
    assert torch.isfinite(k3(d)).all()
    assert torch.isfinite(ratio_k1(d, d)).all()
    assert clamp_log_ratio(d).tolist() == [-20, 20]
    assert clamp_log_ratio(torch.tensor([19.5, -3.0])).tolist() == [19.5, -3.0]


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.data())
def test_exact_kl_and_entropy_keep_their_bounds(logits, data):
    other = data.draw(st.lists(st.floats(-8, 8), min_size=len(logits), max_size=len(logits)))
    p = torch.tensor(logits, dtype=torch.float64).log_softmax(-1)
    q = torch.tensor(other, dtype=torch.float64).log_softmax(-1)
    assert exact_kl(p, q).item() >= -1e-12
    assert -1e-12 <= entropy(p).item() <= math.log(len(logits)) + 1e-12


def over_four_tokens(logits: torch.Tensor, released: bool) -> torch.Tensor:
    """``topk_kl`` of k = 2, in expectation over the four tokens that the policy may sample."""
    logp, logp_ref = logits.log_softmax(-1), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    top = (logp[:2].expand(4, 2), logp_ref[:2].expand(4, 2), torch.tensor([True, True, False, False]))
    found = topk_kl(*top, logp - logp_ref, (logp - logp.detach()), released=released)
    return (logp.detach().exp() * found).sum()


@pytest.mark.parametrize(
    ("released", "expected"),
    [
        (False, [0.094691, -0.010129, -0.048217, -0.036345]),
        (True, [0.194691, 0.049871, -0.168217, -0.076345]),
    ],
)
def test_the_kl_of_the_likeliest_tokens_by_worked_numbers(released: bool, expected: list[float]) -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log().requires_grad_()
    value = over_four_tokens(logits, released)
    assert value.item() == pytest.approx(0.033762, abs=1e-6)
    value.backward()
    torch.testing.assert_close(logits.grad, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=0)


def test_its_unbiased_gradient_is_the_slope_of_the_exact_kl() -> None:
    start = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64).log()
    logp_ref = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    logits, h = start.clone().requires_grad_(), 1e-6
    over_four_tokens(logits, released=False).backward()
    for index in range(4):
        moved = [start + sign * h * torch.eye(4, dtype=torch.float64)[index] for sign in (1, -1)]
        up, down = (exact_kl(one.log_softmax(-1), logp_ref).item() for one in moved)
        assert logits.grad[index].item() == pytest.approx((up - down) / (2 * h), abs=1e-8)
