"""Texts in batches: of like length where padding is read; the same numbers."""

from collections.abc import Callable, Iterator, Sequence

SPARE = 0.1
"""Of the positions of a padded batch at most so many are padding."""

Texts = Sequence[list[int]]


def by_length(texts: Texts, size: int, score: Callable[[list[list[int]]], list[float]]) -> list[float]:
    """What ``score`` gives each text, in the order of ``texts``.

    Args:
        texts: tokens of each.
        size: texts that are scored together, at most; fewer where the batch would be more than ``SPARE`` padding.
        score: reads a padded batch.
    """
    scores = [0.0] * len(texts)
    for rows in alike([len(text) for text in texts], size):
        for row, value in zip(rows, score([texts[row] for row in rows]), strict=True):
            scores[row] = value
    return scores


def alike(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """The rows in batches, from the shortest on."""
    rows: list[int] = []
    held = 0
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        positions = lengths[row] * (len(rows) + 1)
        if rows and (len(rows) == size or positions - held - lengths[row] > SPARE * positions):
            yield rows
            rows, held = [], 0
        rows.append(row)
        held += lengths[row]
    if rows:
        yield rows
