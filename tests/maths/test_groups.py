import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.groups import group_deviation, group_mean, group_softmax, leave_one_out, less_group_mean

numbers = st.floats(-5, 5, width=32)


@given(st.lists(st.tuples(numbers, st.integers(0, 3)), min_size=1, max_size=12))
def test_against_a_loop_over_the_groups(rows: list[tuple[float, int]]) -> None:
    x, group = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
    for index, (value, mine) in enumerate(rows):
        members = [other for other, theirs in rows if theirs == mine]
        mean = sum(members) / len(members)
        assert abs(float(group_mean(x, group)[index]) - mean) < 1e-4
        assert abs(float(less_group_mean(x, group)[index]) - (value - mean if len(members) > 1 else value)) < 1e-5
        deviation = torch.tensor(members).std().item() if len(members) > 1 else 1.0
        assert abs(float(group_deviation(x, group)[index]) - deviation) < 1e-4
        others = (sum(members) - value) / (len(members) - 1) if len(members) > 1 else 0.0
        assert abs(float(leave_one_out(x, group)[index]) - (value - others)) < 1e-4


def test_shares_of_a_group_add_up_to_one_at_any_size() -> None:
    share = group_softmax(torch.tensor([900.0, 0.0, -900.0, 3.0]), torch.tensor([0, 0, 1, 1]))
    assert share.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_ids_need_not_be_small_or_sorted() -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    assert group_mean(x, torch.tensor([10**9, 5, 10**9])).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [3, 5, 8, 16, 600])
def test_equal_rewards_have_no_advantage_however_they_round(size: int, dtype: torch.dtype) -> None:
    """A rounded mean of equal numbers is often not that number; divided by its own error it would be near 1."""
    values = 10 * torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, group = values.to(dtype).repeat_interleave(size), torch.arange(200).repeat_interleave(size)
    assert group_mean(x, group).equal(x)
    assert less_group_mean(x, group).abs().max() == 0
    assert group_deviation(x, group).abs().max() == 0
    assert leave_one_out(x, group).abs().max() == 0


def test_rewards_that_differ_by_their_rounding_are_told_apart_in_float64() -> None:
    """Three neighbours in float32: the mean, rounded to float32, would be one of them."""
    last = 2.0**-21  # the spacing of float32 between 4 and 8
    x = torch.tensor([7.0, 7.0, 7.0 + last])
    group = torch.zeros(3, dtype=torch.long)
    assert less_group_mean(x, group).tolist() == pytest.approx([-last / 3, -last / 3, 2 * last / 3], rel=1e-6)
    assert leave_one_out(x, group).tolist() == pytest.approx([-last / 2, -last / 2, last], rel=1e-6)
    assert group_deviation(x, group).tolist() == pytest.approx([last / 3**0.5] * 3, rel=1e-6)
