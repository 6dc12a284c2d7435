"""Padding by its property: what went in comes out, and nothing else is there."""

from hypothesis import given
from hypothesis import strategies as st

from safelab.supervised.rows import Row, cut, ids_of, pad_right

NUMBERS = st.lists(st.integers(0, 60000), max_size=6)
ROWS = st.lists(NUMBERS, min_size=1, max_size=5)


@given(ROWS, st.integers(-100, 3))
def test_padding_keeps_every_row_and_fills_the_rest(rows: list[list[int]], value: int) -> None:
    width = max(map(len, rows))
    padded = pad_right(rows, value)
    assert padded.shape == (len(rows), width)
    for row, line in zip(rows, padded.tolist(), strict=True):
        assert line[: len(row)] == row
        assert line[len(row) :] == [value] * (width - len(row))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4))
def test_a_row_is_read_as_prompt_and_answer_without_a_gap(texts: list[tuple[list[int], list[int]]]) -> None:
    ids = ids_of([Row(*text) for text in texts])
    assert [line[: len(p) + len(a)] for line, (p, a) in zip(ids.tolist(), texts, strict=True)] == [
        p + a for p, a in texts
    ]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_batches_are_the_items_in_their_order(items: list[int], size: int) -> None:
    batches = list(cut(items, size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)
