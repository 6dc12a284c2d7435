"""Texts of like length together: nearly no padding, and every score at its place."""

import random

from hypothesis import given
from hypothesis import strategies as st

from safelab.parts.reward._batches import alike, by_length


def padding_share(batches: list[list[int]], lengths: list[int]) -> float:
    positions = sum(len(rows) * max(lengths[row] for row in rows) for rows in batches)
    return 1 - sum(lengths) / positions


def test_of_ragged_texts_less_than_a_tenth_is_padding() -> None:
    # Lengths as dialogues have them: a few long ones.
    rng = random.Random(0)
    lengths = [1 + int(rng.lognormvariate(4.5, 0.8)) for _ in range(256)]
    batches = [*alike(lengths, 32)]
    assert padding_share(batches, lengths) < 0.1
    assert len(batches) < 30
    assert padding_share([[*range(start, start + 32)] for start in range(0, 256, 32)], lengths) > 0.5


@given(lengths=st.lists(st.integers(0, 40), max_size=30), size=st.integers(1, 9))
def test_every_row_once_few_together_and_little_padding_in_any_batch(lengths: list[int], size: int) -> None:
    batches = [*alike(lengths, size)]
    assert sorted(row for rows in batches for row in rows) == [*range(len(lengths))]
    for rows in batches:
        own = [lengths[row] for row in rows]
        assert len(rows) <= size
        assert max(own) * len(own) - sum(own) <= 0.1 * max(own) * len(own)


def test_scores_come_in_the_order_of_the_texts() -> None:
    texts = [[1] * length for length in (7, 1, 30, 2, 7, 3)]
    assert by_length(texts, 2, lambda rows: [float(len(row)) for row in rows]) == [7.0, 1.0, 30.0, 2.0, 7.0, 3.0]
