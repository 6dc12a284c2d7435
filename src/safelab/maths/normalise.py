"""Running mean and variance of rewards, in two forms: as SAFE's released code has it, and mended.

Plain floats: the state is what a checkpoint holds, and a recorded run replays to the last digits.
"""

import math
from collections.abc import Sequence

from safelab.options import State

RELEASED_COUNT = 1e-4  # the pseudo-count that the released code starts from


class RunningState(State):
    """Mean, variance and number of the values seen so far; ``count`` may hold a small pseudo-count."""

    mean: float
    variance: float
    count: float


def released_init() -> RunningState:
    """SAFE's released start: mean 0 and variance 1, with the weight of 1e-4 values."""
    return RunningState(mean=0.0, variance=1.0, count=RELEASED_COUNT)


def released_step(state: RunningState, batch: Sequence[float], eps: float = 1e-8) -> tuple[RunningState, list[float]]:
    """``(x - mean) / (sqrt(var) + eps)``, the statistics updated with ``batch`` before they are used.

    The unbiased variance of the batch is weighted with n, so the running variance of independent rewards tends to
    1 + 1/n of theirs: a fault of the released code, kept. The first batch is measured on itself.

    Ref: SAFE's released ``RewardNormalizer``.
    """
    now = _pooled(state, _mean(batch), _squares(batch) / max(len(batch) - 1, 1) * len(batch), len(batch))
    return now, [(x - now.mean) / (math.sqrt(now.variance) + eps) for x in batch]


def running_init() -> RunningState:
    """Nothing seen."""
    return RunningState(mean=0.0, variance=0.0, count=0.0)


def running_step(state: RunningState, batch: Sequence[float], eps: float = 1e-8) -> tuple[RunningState, list[float]]:
    """``(x - mean) / sqrt(var + eps)`` with the statistics from before this batch; the first batch uses its own.

    The state holds the population variance, pooled exactly; what divides is the unbiased one, var n / (n - 1).
    So a reward does not shrink the scale that it is itself measured on.

    Limits: equal rewards give exactly 0, and the first that differs from them its distance over sqrt(eps): large.

    Args:
        state: of all earlier batches.
        batch: raw rewards, at least one.
        eps: added to the variance, in the square of the unit of the reward.

    Returns:
        The state with this batch, and the normalised batch.

    Ref: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1.
    """
    now = _pooled(state, _mean(batch), _squares(batch), len(batch))
    used = state if state.count > 0 else now
    unbiased = used.variance * used.count / max(used.count - 1, 1)
    return now, [(x - used.mean) / math.sqrt(unbiased + eps) for x in batch]


def _pooled(state: RunningState, mean: float, squares: float, n: int) -> RunningState:
    total = state.count + n
    delta = mean - state.mean
    all_squares = state.variance * state.count + squares + delta**2 * state.count * n / total
    mean = mean if state.count == 0 else state.mean + delta * n / total
    return RunningState(mean=mean, variance=all_squares / total, count=total)


def _mean(batch: Sequence[float]) -> float:
    # Rounded, a mean of equal numbers can lie beside them, and sqrt(eps) divides: it stays between least and greatest.
    return min(max(sum(batch) / len(batch), min(batch)), max(batch))


def _squares(batch: Sequence[float]) -> float:
    mean = _mean(batch)
    return sum((x - mean) ** 2 for x in batch)
