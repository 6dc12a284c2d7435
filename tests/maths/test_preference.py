import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.preference import (
    accuracy,
    chi_link,
    clip_margin,
    effective_share,
    logistic_loss,
    margin,
    margin_is_clipped,
    margin_of_halves,
    sequence_logp,
    squared_loss,
)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# One pair, the chosen answer first: its tokens have .60 .30 .85 under the policy and .45 .25 .80 under the reference;
# the rejected one's .30 .02 and .35 .20.
POLICY = tensor(0.6 * 0.3 * 0.85, 0.3 * 0.02).log()
REFERENCE = tensor(0.45 * 0.25 * 0.8, 0.35 * 0.2).log()
LOG_RATIO = (POLICY - REFERENCE).unsqueeze(0)
H = margin(LOG_RATIO)


def close(x: torch.Tensor, *expected: float) -> None:
    torch.testing.assert_close(x, tensor(*expected), atol=1e-6, rtol=0)


def test_the_margin_by_worked_numbers() -> None:
    close(H, 2.987364)


def test_the_margin_of_halves_is_that_of_the_pairs() -> None:
    assert margin_of_halves(tensor(5.0, 7.0, 1.0, 10.0)).tolist() == [4.0, -3.0]


def test_accuracy_by_hand() -> None:
    # Two right, one tie, one wrong.
    assert accuracy(tensor(0.1, 3.0, 0.0, -2.0)) == 0.625
    assert accuracy(tensor(-0.0)) == 0.5
    assert accuracy(torch.tensor([1e-45, -1e-45, 1.0])) == 2 / 3


@given(st.lists(st.sampled_from([-1.5, 0.0, 0.25]), min_size=1))
def test_turning_every_label_round_turns_the_accuracy_round(margins: list[float]) -> None:
    assert accuracy(tensor(*margins)) + accuracy(-tensor(*margins)) == pytest.approx(1.0)


def test_dpo_and_its_conservative_form_by_worked_numbers() -> None:
    close(logistic_loss(0.1 * H, 0.0), 0.554893)
    close(logistic_loss(0.1 * H, 0.1), 0.584767)


def test_ipo_by_worked_numbers() -> None:
    close(squared_loss(H, 0.1), 4.050704)


def test_chi_po_by_worked_numbers() -> None:
    close(LOG_RATIO.exp().flatten(), 1.7, 0.0857143)
    m = margin(0.1 * chi_link(LOG_RATIO))
    close(m, 0.460165)
    close(logistic_loss(clip_margin(m, 2.0), 0.0), 0.489303)
    assert not margin_is_clipped(m, 2.0).item()


def test_a_clipped_pair_of_chi_po_has_a_loss_and_no_gradient() -> None:
    log_ratio = LOG_RATIO.clone().requires_grad_()
    m = margin(5.0 * chi_link(log_ratio))
    assert m.item() == pytest.approx(23.008, abs=1e-3)
    loss = logistic_loss(clip_margin(m, 2.0), 0.0)
    close(loss.detach(), 0.0181499)
    loss.sum().backward()
    assert margin_is_clipped(m, 2.0).item()
    assert torch.equal(log_ratio.grad, torch.zeros_like(log_ratio))


def test_at_the_reference() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    close(logistic_loss(zero, 0.0), math.log(2.0))
    close(logistic_loss(zero, 0.3), math.log(2.0))
    close(squared_loss(zero, 0.1), 25.0)
    close(chi_link(zero), 1.0)


def test_dpos_gradient_is_the_share_that_is_still_wrong() -> None:
    m = H.clone().requires_grad_()
    logistic_loss(m, 0.0).sum().backward()
    close(m.grad, -1.0 / (1.0 + math.exp(H.item())))


def test_smoothing_stops_at_the_odds_of_the_labels() -> None:
    m = tensor(math.log(9.0)).requires_grad_()
    logistic_loss(m, 0.1).sum().backward()
    close(m.grad, 0.0)


def test_ipo_stops_at_a_margin_of_a_half() -> None:
    h = tensor(5.0).requires_grad_()
    squared_loss(h, 0.1).sum().backward()
    close(h.grad, 0.0)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_nothing_overflows_at_fifty_nats(chosen: float, rejected: float) -> None:
    log_ratio = torch.tensor([[chosen, rejected]]).requires_grad_()
    m = margin(0.1 * chi_link(log_ratio))
    losses = (
        logistic_loss(0.1 * margin(log_ratio), 0.0),
        logistic_loss(clip_margin(m, 2.0), 0.1),
        squared_loss(margin(log_ratio), 0.1),
    )
    sum(losses).sum().backward()
    assert all(torch.isfinite(loss).all() for loss in losses)
    assert torch.isfinite(log_ratio.grad).all()


def test_the_chi_link_is_dpos_below_and_linear_above() -> None:
    close(chi_link(tensor(-15.0)), -15.0 + math.exp(-15.0))
    assert chi_link(tensor(10.0)).item() == pytest.approx(math.exp(10.0) + 10.0)


def test_effective_share_by_hand() -> None:
    assert effective_share(tensor(1.0, 1.0, 1.0, 1.0)).item() == pytest.approx(1.0)
    assert effective_share(tensor(1.0, 0.0, 0.0, 0.0)).item() == pytest.approx(0.25)


def test_what_is_masked_is_not_in_the_sum() -> None:
    logp = torch.tensor([[-1.0, -2.0, math.nan], [-4.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert sequence_logp(logp, mask).tolist() == [-3.0, -4.0]
