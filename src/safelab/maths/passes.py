"""A finite list as an endless one: shuffled anew in each pass, without state."""

from safelab.maths.seeds import numpy_generator


def drawn_rows(seed: int, use: str, size: int, cursor: int, count: int) -> list[int]:
    """Indices of the items number ``cursor`` to ``cursor + count - 1``: pass n takes each of ``size`` items once.

    The order of pass n depends on ``seed``, ``use`` and n only.
    """
    numbers = range(cursor, cursor + count)
    orders = {n: _order(seed, use, size, n) for n in {number // size for number in numbers}}
    return [orders[number // size][number % size] for number in numbers]


def _order(seed: int, use: str, size: int, number: int) -> list[int]:
    order: list[int] = numpy_generator(seed, use, number).permutation(size).tolist()
    return order
