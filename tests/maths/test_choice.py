"""The choice of a pair against loops in plain Python."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.choice import choice, of_one
from safelab.maths.groups import first_greatest

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), min_size=1, max_size=12)


@given(ROWS)
def test_the_first_of_the_greatest_and_of_the_least(rows: list[tuple[int, int]]) -> None:
    group, score = (torch.tensor(column) for column in zip(*rows, strict=True))
    made = choice(score.float(), group)
    for number in set(group.tolist()):
        members = [row for row, (own, _) in enumerate(rows) if own == number]
        best = max(members, key=lambda row: rows[row][1])  # of equals, Python's max and min take the first
        worst = min(members, key=lambda row: rows[row][1])
        assert [row for row in members if made.chosen_seq[row]] == [best]
        assert [row for row in members if made.rejected_seq[row]] == [worst]
        for row in members:
            assert float(made.margin_seq[row]) == rows[best][1] - rows[worst][1]
            assert bool(made.tied_seq[row]) == (rows[best][1] == rows[worst][1])


def test_group_numbers_need_not_be_small_or_sorted() -> None:
    found = first_greatest(torch.tensor([1.0, 3.0, 3.0, 2.0]), torch.tensor([10**9, 5, 5, 10**9]))
    assert found.tolist() == [False, True, False, True]


def test_one_number_of_each_group_with_its_gradient() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    which, group = torch.tensor([False, True, True]), torch.tensor([0, 0, 1])
    found = of_one(x, which, group)
    assert found.tolist() == [2.0, 2.0, 3.0]
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert slope.tolist() == [0.0, 2.0, 1.0]
