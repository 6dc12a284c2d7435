"""Texts of like length together: less padding, the same numbers."""

from collections.abc import Callable, Sequence


def by_length(shown: Sequence[str], size: int, score: Callable[[list[str]], list[float]]) -> list[float]:
    """What ``score`` gives each text, ``size`` at a time from the shortest on, in the order of ``shown``."""
    order = sorted(range(len(shown)), key=lambda index: len(shown[index]))
    scores = [0.0] * len(shown)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        for row, value in zip(rows, score([shown[row] for row in rows]), strict=True):
            scores[row] = value
    return scores
