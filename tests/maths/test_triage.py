"""By the spec's worked pair, by naive loops in float64, and at the limits."""

import math

import pytest
import torch

from safelab.maths.triage import (
    INVERT,
    PUNISH,
    RETAIN,
    agreement,
    bucket_of,
    impact_weights,
    inverted_loss,
    punished_loss,
)

# Log-ratios of the answers with tokens .60 .30 .85 and .30 .02 under the policy, .45 .25 .80 and .35 .20 under ref.
LOG_RATIO = torch.tensor(
    [[math.log(0.6 * 0.3 * 0.85 / (0.45 * 0.25 * 0.8)), math.log(0.3 * 0.02 / (0.35 * 0.2))]], dtype=torch.float64
)


def test_by_worked_numbers() -> None:
    assert inverted_loss(LOG_RATIO, 0.3).item() == pytest.approx(1.238460, abs=1e-6)
    assert punished_loss(LOG_RATIO, 0.3).item() == pytest.approx(1.166959, abs=1e-6)


def test_at_the_reference_they_are_log_2_for_each_sigmoid() -> None:
    assert inverted_loss(torch.zeros(1, 2), 0.3).item() == pytest.approx(math.log(2.0))
    assert punished_loss(torch.zeros(1, 2), 0.3).item() == pytest.approx(2 * math.log(2.0))


def test_the_inverted_loss_draws_to_the_rejected_answer_and_the_punished_one_to_neither() -> None:
    for loss, signs in ((inverted_loss, [1.0, -1.0]), (punished_loss, [1.0, 1.0])):
        log_ratio = LOG_RATIO.clone().requires_grad_()
        loss(log_ratio, 0.3).sum().backward()
        assert log_ratio.grad.sign().tolist() == [signs]


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_extreme_log_ratios_stay_numbers(shift: float) -> None:
    log_ratio = torch.tensor([[shift, 0.0], [0.0, shift]]).requires_grad_()
    value = inverted_loss(log_ratio, 0.3) + punished_loss(log_ratio, 0.3)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(log_ratio.grad).all()


def test_buckets_by_hand() -> None:
    score = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.1], [-2.0, -1.0], [-1.0, -2.0], [-0.5, 3.0], [-0.5, -0.5]])
    expected = [RETAIN, INVERT, RETAIN, PUNISH, PUNISH, INVERT, RETAIN]
    assert bucket_of(score, invert_margin=0.2, punish_below=-0.5).tolist() == expected


def test_a_margin_and_a_bound_are_passed_and_not_met() -> None:
    met = torch.tensor([[0.0, 0.25], [-0.25, -0.5]], dtype=torch.float64)
    assert bucket_of(met, invert_margin=0.25, punish_below=-0.25).tolist() == [RETAIN, RETAIN]
    assert bucket_of(met, invert_margin=0.249, punish_below=-0.249).tolist() == [INVERT, PUNISH]


def test_weights_by_hand() -> None:
    assert impact_weights(torch.tensor([3.0, -5.0, 1.0, 0.0])).tolist() == [0.75, 0.0, 0.25, 0.0]


def test_a_common_factor_of_the_alignments_does_not_count() -> None:
    """Which is why the code's gamma is no option here."""
    alignment = torch.tensor([0.3, -0.2, 0.9, 0.1], dtype=torch.float64)
    torch.testing.assert_close(impact_weights(alignment / 7.0), impact_weights(alignment))


def test_agreement_is_the_share_of_a_bucket_that_the_oracle_puts_there() -> None:
    own, told = [RETAIN, RETAIN, INVERT, INVERT, INVERT], [RETAIN, PUNISH, INVERT, INVERT, RETAIN]
    assert agreement(own, told) == pytest.approx(3 / 5)
    assert agreement(own, told, RETAIN) == pytest.approx(1 / 2)
    assert agreement(own, told, INVERT) == pytest.approx(2 / 3)
    assert agreement(own, told, PUNISH) is None
