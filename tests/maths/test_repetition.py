from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.repetition import repeated_bigram_share


def share(*rows: list[int]) -> list[float]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    return repeated_bigram_share(ids, mask).tolist()


def test_by_hand():
    # 5 6, 6 5, 5 6, 6 5: two distinct of four. No pair twice. One token only. One token five times: 1 - 1/4.
    assert share([5, 6, 5, 6, 5], [1, 2, 3, 1], [7], [4, 4, 4, 4, 4]) == pytest.approx([0.5, 0, 0, 0.75])


def test_padding_that_looks_like_tokens_does_not_count():
    assert share([0, 0, 0], [3, 0, 0, 0, 0, 0]) == pytest.approx([0.5, 0.6])


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=4))
def test_counting_is_an_oracle(rows):
    expected = []
    for row in rows:
        pairs = Counter(pairwise(row))
        expected.append(1 - len(pairs) / pairs.total() if pairs else 0)
    assert share(*rows) == pytest.approx(expected, abs=1e-6)
