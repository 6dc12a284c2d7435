"""Rows are cut in order, by number or by tokens, and a single piece is the batch itself."""

import pytest
import torch

from safelab.training.pieces import filled, slices

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


def test_tokens_of_prompts_and_responses_are_counted() -> None:
    prompts = torch.arange(4) >= 4 - torch.tensor([3, 1, 2])[:, None]
    responses = torch.arange(2) < torch.tensor([1, 2, 2])[:, None]

    def cut(size: int | None, tokens: int | None) -> list[slice | None]:
        return slices(size, tokens, prompts, responses)

    assert cut(None, None) == cut(3, None) == cut(None, 11) == [None]
    assert cut(2, None) == [slice(0, 2), slice(2, 3)]
    assert cut(None, 7) == [slice(0, 2), slice(2, 3)]
    assert cut(None, 6) == [slice(0, 1), slice(1, 2), slice(2, 3)]


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (5, 1)])
def test_slices_cover_all_rows_once(count: int, size: int) -> None:
    rows = list(range(count))
    cut = [rows[piece] for piece in slices(size, None, torch.ones(count, 2, dtype=torch.bool))]
    assert [row for piece in cut for row in piece] == rows
    assert max(map(len, cut)) <= size


@pytest.mark.parametrize("size", [None, 5, 9])
def test_what_fits_is_not_cut(size: int | None) -> None:
    assert slices(size, None, torch.ones(5, 2, dtype=torch.bool)) == [None]
