"""Neighbours fill a piece up to a number of tokens."""

import pytest

from safelab.maths.filled import filled

LENGTHS = [3, 5, 2, 9, 1, 1]


@pytest.mark.parametrize(
    ("size", "tokens", "cuts"),
    [
        (6, 8, [(0, 2), (2, 3), (3, 4), (4, 6)]),  # 9 tokens are more than 8, and go alone
        (6, 10, [(0, 3), (3, 5), (5, 6)]),
        (2, 10, [(0, 2), (2, 3), (3, 5), (5, 6)]),
        (6, 100, [(0, 6)]),
        (6, 1, [(row, row + 1) for row in range(6)]),
    ],
)
def test_neighbours_fill_a_piece(size: int, tokens: int, cuts: list[tuple[int, int]]) -> None:
    assert filled(LENGTHS, size, tokens) == [slice(*cut) for cut in cuts]
