import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from safelab.maths.masked import masked_mean, masked_std, masked_sum, masked_whiten, sequence_mean

X = torch.tensor([[1.0, 2.0, 99.0], [6.0, math.nan, math.inf]], dtype=torch.float64)
MASK = torch.tensor([[True, True, False], [True, False, False]])

finite = st.floats(-100, 100, width=32)


@st.composite
def masked_tensors(draw, at_least=1):
    """Values and a mask with at least ``at_least`` positions that count."""
    shape = draw(array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=5))
    x = torch.from_numpy(draw(arrays("float64", shape, elements=finite)))
    mask = torch.from_numpy(draw(arrays("bool", shape)))
    mask.view(-1)[:at_least] = True
    return x, mask


def test_sum_mean_and_deviation_by_hand():
    assert masked_sum(X, MASK).item() == 9
    assert masked_mean(X, MASK).item() == 3
    # (4 + 1 + 9) / 2 = 7
    assert masked_std(X, MASK).item() == pytest.approx(math.sqrt(7), abs=1e-12)
    assert sequence_mean(X, MASK).tolist() == [1.5, 6]


def test_whiten_gives_the_worked_numbers_of_the_ppo_literature():
    advantage = torch.tensor([[0.71725, 0.555, 0.5, -7.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, True, False]])
    expected = torch.tensor([[1.119954, -0.316509, -0.803445, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(masked_whiten(advantage, mask), expected, atol=2e-6, rtol=0)


def test_whiten_without_shift_keeps_the_mean():
    mask = torch.ones(3, dtype=torch.bool)
    kept = masked_whiten(torch.tensor([1.0, 3.0, 8.0], dtype=torch.float64), mask, shift_mean=False)
    assert kept.mean().item() == pytest.approx(4, abs=1e-12)
    assert kept.std().item() == pytest.approx(1, abs=1e-8)


def test_one_position_or_equal_ones_give_zero_and_no_nan():
    one = torch.tensor([True, False, False])
    x = torch.tensor([5.0, 1.0, 2.0])
    assert masked_std(x, one).item() == 0
    assert masked_whiten(x, one).tolist() == [0, 0, 0]
    assert masked_whiten(x, one, shift_mean=False).tolist() == [5, 0, 0]
    assert masked_whiten(torch.full((3,), 2.5), torch.ones(3, dtype=torch.bool)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [7.1714287, 0.1, -3.3333333, 1e6 / 3])
def test_equal_values_are_exactly_zero_however_many_and_however_they_round(value, dtype):
    for shape in ((600,), (32, 32), (7, 91)):
        x = torch.full(shape, value, dtype=dtype)
        mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.7
        for counted in (mask, torch.ones_like(mask)):
            spoilt = torch.where(counted, x, torch.full_like(x, math.nan))
            assert masked_whiten(spoilt, counted).abs().max() == 0
            assert masked_std(spoilt, counted) == 0
            assert masked_whiten(x, counted, shift_mean=False).equal(torch.where(counted, x, torch.zeros_like(x)))


def test_whitening_in_float32_is_a_loop_in_float64_rounded_once():
    """Values far from 0 with a small deviation, where the squares of float32 lose it."""
    generator = torch.Generator().manual_seed(0)
    x = 1000 + 0.01 * torch.randn(40, 25, generator=generator)
    mask = torch.rand(40, 25, generator=generator) < 0.6
    kept = [float(value) for value in x[mask]]
    mean = math.fsum(kept) / len(kept)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in kept) / (len(kept) - 1) + 1e-8)
    white = masked_whiten(x, mask)
    assert white.dtype == torch.float32
    assert white[mask].tolist() == pytest.approx([(value - mean) / deviation for value in kept], rel=1e-6, abs=1e-9)


def test_an_empty_mask_has_no_mean():
    assert math.isnan(masked_mean(torch.ones(2), torch.zeros(2, dtype=torch.bool)).item())


def test_eps_stands_under_the_root():
    x, mask = torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.ones(2, dtype=torch.bool)
    # variance 2, so -1 / sqrt(2 + 2)
    assert masked_whiten(x, mask, eps=2.0).tolist() == [-0.5, 0.5]


@given(masked_tensors(), st.sampled_from([math.nan, math.inf, -1e30]))
def test_what_stands_at_masked_positions_never_matters(case, junk):
    x, mask = case
    spoilt = torch.where(mask, x, torch.full_like(x, junk))
    for function in (masked_sum, masked_mean, masked_std, masked_whiten):
        torch.testing.assert_close(function(spoilt, mask), function(x, mask), rtol=0, atol=0)


@given(masked_tensors())
def test_selection_is_an_oracle(case):
    x, mask = case
    kept = x[mask]
    assert masked_mean(x, mask).item() == pytest.approx(kept.mean().item(), abs=1e-9)
    if len(kept) > 1:
        assert masked_std(x, mask).item() == pytest.approx(kept.std().item(), abs=1e-9)


@given(masked_tensors(at_least=2), st.randoms(use_true_random=False))
def test_permuting_positions_permutes_the_result(case, random):
    x, mask = case[0].flatten(), case[1].flatten()
    order = list(range(len(x)))
    random.shuffle(order)
    # The sum is taken in another order, and a nearly constant x divides by sqrt(eps) = 1e-4.
    torch.testing.assert_close(masked_whiten(x[order], mask[order]), masked_whiten(x, mask)[order], atol=1e-7, rtol=0)


@given(masked_tensors(at_least=2))
def test_whitened_values_have_mean_zero_and_deviation_one(case):
    x, mask = case
    if masked_std(x, mask) < 0.1:
        return
    white = masked_whiten(x, mask)
    assert masked_mean(white, mask).item() == pytest.approx(0, abs=1e-9)
    assert masked_std(white, mask).item() == pytest.approx(1, abs=1e-5)  # eps 1e-8 against a variance of 0.01
    assert (white[~mask] == 0).all()


def test_gradient_reaches_only_the_positions_that_count():
    x = torch.tensor([1.0, math.nan, 3.0], requires_grad=True)
    masked_mean(x, torch.tensor([True, False, True])).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, 0, 0.5]
