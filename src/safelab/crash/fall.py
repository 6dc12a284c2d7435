"""A level that falls below its running peak, as a fold: shared by the reward crash and by hacking."""

import math
from collections.abc import Sequence
from statistics import fmean

from safelab.options import State


class Fall(State):
    """The running peak, and after a fall the lowest level since; None while none has begun."""

    peak: float
    trough: float | None = None


def fall_step(fall: Fall, level: float, tolerance: float, rearm_share: float) -> tuple[Fall, bool]:
    """Whether ``peak - level > tolerance`` now begins.

    A fall ends, and ``level`` is the new peak, when ``rearm_share`` of the way from trough to peak is recovered.
    """
    if fall.trough is not None:
        trough = min(fall.trough, level)
        recovered = level >= trough + rearm_share * (fall.peak - trough)
        return (Fall(peak=level) if recovered else Fall(peak=fall.peak, trough=trough)), False
    if level >= fall.peak:
        return Fall(peak=level), False
    fell = fall.peak - level > tolerance
    return (Fall(peak=fall.peak, trough=level) if fell else fall), fell


def root_mean_square(values: Sequence[float]) -> float:
    """``sqrt(mean x^2)``: how deviations of equally large batches average."""
    return math.sqrt(fmean([value * value for value in values]))
