"""The units in which ratios are published, and their way to the logarithm, on which ratios are averaged, and back."""

import math
from collections.abc import Callable, Mapping

from safelab.results.compare.against_baseline import LARGEST_LOG
from safelab.results.estimates import Estimate


def through(scale: Callable[[float], float], found: Estimate) -> Estimate:
    """Mean and interval on another scale; a deviation has no meaning there."""
    mean, low, high = (None if end is None else scale(end) for end in (found.mean, found.low, found.high))
    return Estimate(n=found.n, mean=mean, low=low, high=high)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _exp(value: float) -> float:
    return math.exp(value) if value < LARGEST_LOG else math.inf


SCALES: Mapping[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "%": (lambda percent: _log(1 + percent / 100), lambda log: 100 * (_exp(log) - 1)),
    "times": (_log, _exp),
}
"""Unit of a ratio -> to its logarithm, and back."""
