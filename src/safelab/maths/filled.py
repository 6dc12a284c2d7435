"""Rows put together up to a number of tokens, in their order."""

from collections.abc import Sequence


def filled(lengths: Sequence[int], size: int, tokens: int) -> list[slice]:
    """Neighbours together as long as they stay within ``size`` rows and ``tokens`` tokens.

    Args:
        lengths: tokens of each row.
        size: at most so many rows.
        tokens: at most so many tokens, unless one row alone has more.
    """
    pieces = []
    start = held = 0
    for row, length in enumerate(lengths):
        if row > start and (held + length > tokens or row - start == size):
            pieces.append(slice(start, row))
            start, held = row, 0
        held += length
    return [*pieces, slice(start, len(lengths))]
