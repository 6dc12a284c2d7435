"""Statistics of positions against numbers by hand and a loop."""

import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from safelab.maths.positions import position_weight, positions, regulated

MASK = torch.arange(4) < torch.tensor([[4], [2], [2], [1]])
X = torch.tensor([[1.0, 4.0, 9.0, 2.0], [3.0, 6.0, 0.0, 0.0], [5.0, 8.0, 0.0, 0.0], [7.0, 0.0, 0.0, 0.0]])


def test_worked_statistics_and_weights() -> None:
    found = positions(X, MASK, 1)
    assert found.mean.tolist() == pytest.approx([4.0, 6.0, 9.0, 2.0])
    assert found.deviation.tolist() == pytest.approx([(20 / 3) ** 0.5, 2.0, 0.0, 0.0])
    assert found.count.tolist() == [4, 3, 1, 1]
    # 20 + 8 over the 9 tokens less 4 positions.
    assert float(found.common) == pytest.approx((28 / 5) ** 0.5)
    assert position_weight(MASK, 1).tolist() == pytest.approx([9 / 16, 9 / 12, 9 / 4, 9 / 4])


def test_buckets_of_three_leave_a_last_one_of_one_column() -> None:
    found = positions(X, MASK, 3)
    first = [1.0, 4.0, 9.0, 3.0, 6.0, 5.0, 8.0, 7.0]
    assert found.mean.tolist() == pytest.approx([*[statistics.mean(first)] * 3, 2.0])
    assert found.deviation.tolist() == pytest.approx([*[statistics.stdev(first)] * 3, 0.0])
    assert position_weight(MASK, 3).tolist() == pytest.approx([*[9 / 16] * 3, 9 / 2])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), bucket=st.integers(1, 4))
def test_regulated_numbers_are_those_of_a_loop(seed: int, bucket: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.arange(6) < torch.randint(1, 7, (5, 1), generator=draw)
    x = torch.randn(5, 6, generator=draw, dtype=torch.float64)
    kept = {}
    for row, column in mask.nonzero().tolist():
        kept.setdefault(column // bucket, []).append(x[row, column].item())
    away = [value - statistics.mean(each) for each in kept.values() for value in each]
    spare = len(away) - len(kept)
    common = (sum(value**2 for value in away) / max(spare, 1)) ** 0.5
    found = regulated(torch.where(mask, x, torch.full_like(x, torch.inf)), mask, bucket, eps=0.1)
    weight = position_weight(mask, bucket)
    for row, column in mask.nonzero().tolist():
        each = kept[column // bucket]
        expected = x[row, column].item()
        if len(each) > 1:
            expected = (expected - statistics.mean(each)) * (common + 0.1) / (statistics.stdev(each) + 0.1)
        assert found[row, column].item() == pytest.approx(expected, abs=1e-9)
        assert weight[column].item() == pytest.approx(len(away) / (len(kept) * len(each)), rel=1e-6)
    assert float((weight * mask).sum() / mask.sum()) == pytest.approx(1.0, abs=1e-6)
    assert not found[~mask].any()


def test_gradient_flows_through_the_number_and_not_through_the_statistics() -> None:
    x = X.double().requires_grad_()
    regulated(x, MASK, 1, eps=0.5).sum().backward()
    found = positions(X.double(), MASK, 1)
    scale = (found.common + 0.5) / (found.deviation + 0.5)
    expected = torch.where(found.count > 1, scale, torch.ones_like(scale)) * MASK
    assert torch.allclose(x.grad, expected)


def test_equal_numbers_are_exactly_zero() -> None:
    assert not regulated(torch.full((3, 2), 0.1), torch.ones(3, 2, dtype=torch.bool), 1, eps=1e-2).any()


# The flow form at sigma 0.7, dt 0.1, |dmu|^2 0.02: log r -0.2, 0, 0.3 become these.
FLOW = {-0.2: 0.000903508, 0.0: 0.0451754, 0.3: 0.111583}
SPREAD, MOVED = 0.7 * 0.1**0.5, 0.02


def test_with_a_steps_own_mean_and_deviation_it_is_the_flow_form_but_for_one_factor() -> None:
    """Two steps of other noise: the first holds the worked log-ratios and two more, so that its moments are exact."""
    mean, variance = -MOVED / (2 * SPREAD**2), MOVED / SPREAD**2
    given, rest = list(FLOW), 5 * mean - sum(FLOW)
    squares = 4 * variance + 5 * mean**2 - sum(value**2 for value in given)
    half = (squares / 2 - rest**2 / 4) ** 0.5
    first = torch.tensor([*given, rest / 2 - half, rest / 2 + half], dtype=torch.float64)
    second = torch.linspace(-0.02, 0.03, 5, dtype=torch.float64)
    both, mask = torch.stack([first, second], dim=1), torch.ones(5, 2, dtype=torch.bool)
    found = regulated(both, mask, 1, eps=1e-12) * MOVED**0.5 / positions(both, mask, 1).common
    assert found[:3, 0].tolist() == pytest.approx(list(FLOW.values()), rel=1e-4)
    assert found[:, 0].std().item() == pytest.approx(found[:, 1].std().item())
