"""A stream holds every token of its rows once, and a shared prompt once for all who share it."""

import numpy as np
import torch

from safelab.pretrained.ragged.layout import Segment, layout_of

PROMPTS = [[1, 2, 3], [4], [4], [4], [5, 6]]
RESPONSES = [[7, 8], [9], [10, 11, 12], [13], [14, 15]]


def padded(rows: list[list[int]], width: int, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    gaps = [[0] * (width - len(row)) for row in rows]
    filled = [gap + row if left else row + gap for row, gap in zip(rows, gaps, strict=True)]
    ids = torch.tensor(filled)
    return ids, ids != 0


def laid(share: bool):
    (prompt_ids, prompt_mask), (ids, mask) = padded(PROMPTS, 4, True), padded(RESPONSES, 3, False)
    layout = layout_of(prompt_ids, prompt_mask, mask, share=share)
    return layout, torch.cat([prompt_ids, ids], dim=1).flatten().numpy()[layout.source].tolist()


def test_without_sharing_rows_follow_each_other() -> None:
    layout, tokens = laid(share=False)
    assert tokens == [1, 2, 3, 7, 8, 4, 9, 4, 10, 11, 12, 4, 13, 5, 6, 14, 15]
    assert layout.positions.tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3]
    assert layout.segments == (Segment(0, 5), Segment(5, 2), Segment(7, 4), Segment(11, 2), Segment(13, 4))


def test_a_prompt_that_neighbours_share_stands_once() -> None:
    layout, tokens = laid(share=True)
    assert tokens == [1, 2, 3, 7, 8, 4, 9, 10, 11, 12, 13, 5, 6, 14, 15]
    assert layout.positions.tolist() == [0, 1, 2, 3, 4, 0, 1, 1, 2, 3, 1, 0, 1, 2, 3]
    own = (Segment(6, 1, 5, 1), Segment(7, 3, 5, 1), Segment(10, 1, 5, 1))
    assert layout.segments == (Segment(0, 5), Segment(5, 1), *own, Segment(11, 4))
    assert layout.segments[3].keys().tolist() == [5, 7, 8, 9]
    assert layout.segments[3].seen == 4


def test_outputs_are_the_prompts_end_and_each_response_token_and_then_the_last_again() -> None:
    for share in (False, True):
        layout, tokens = laid(share)
        read = np.asarray(tokens)[layout.outputs].tolist()
        assert read == [[3, 7, 8, 8], [4, 9, 9, 9], [4, 10, 11, 12], [4, 13, 13, 13], [6, 14, 15, 15]]


def test_prompts_of_equal_tokens_are_told_apart_by_their_masks() -> None:
    # Where padding is a token that prompts use, [0, 4] padded and [0, 4] of two tokens have the same ids.
    ids, mask = torch.tensor([[0, 4], [0, 4]]), torch.tensor([[False, True], [True, True]])
    layout = layout_of(ids, mask, torch.ones(2, 1, dtype=torch.bool), share=True)
    assert layout.segments == (Segment(0, 2), Segment(2, 3))
