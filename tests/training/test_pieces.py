"""Rows are cut in order, by number or by tokens, and a single piece is the batch itself."""

import pytest
import torch

from safelab.training.pieces import slices


def test_tokens_of_prompts_and_responses_are_counted() -> None:
    prompts = torch.arange(4) >= 4 - torch.tensor([3, 1, 2])[:, None]
    responses = torch.arange(2) < torch.tensor([1, 2, 2])[:, None]

    def cut(size: int | None, tokens: int | None) -> list[slice | None]:
        return slices(size, tokens, prompts, responses)

    assert cut(None, None) == cut(3, None) == cut(None, 11) == [None]
    assert cut(2, None) == [slice(0, 2), slice(2, 3)]
    assert cut(None, 7) == [slice(0, 2), slice(2, 3)]
    assert cut(None, 6) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_groups_stay_together() -> None:
    lengths = torch.tensor([1, 4, 2, 2, 3, 3])
    mask = torch.arange(4) < lengths[:, None]
    assert slices(3, None, mask, together=2) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert slices(4, None, mask, together=2) == [slice(0, 4), slice(4, 6)]
    assert slices(None, 9, mask, together=2) == [slice(0, 4), slice(4, 6)]
    assert slices(None, 10, mask, together=3) == slices(None, 1, mask, together=3) == [slice(0, 3), slice(3, 6)]
    assert slices(None, 15, mask, together=3) == slices(5, None, mask, together=6) == [None]


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (5, 1)])
def test_slices_cover_all_rows_once(count: int, size: int) -> None:
    rows = list(range(count))
    cut = [rows[piece] for piece in slices(size, None, torch.ones(count, 2, dtype=torch.bool))]
    assert [row for piece in cut for row in piece] == rows
    assert max(map(len, cut)) <= size


@pytest.mark.parametrize("size", [None, 5, 9])
def test_what_fits_is_not_cut(size: int | None) -> None:
    assert slices(size, None, torch.ones(5, 2, dtype=torch.bool)) == [None]
