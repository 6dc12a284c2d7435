"""Reward crash: the mean reward falls below its running peak by more than noise and a share of what was gained.

    peak - M > max( gain_share (peak - start), standard_errors s / sqrt(window batch_size) )

M is the mean reward over the window, ``start`` the first full M, ``s`` the larger of the deviations over responses
(root mean square over the window) at the peak and now: a peak keeps its own noise when the policy later narrows to few
responses.

Calibrated on null (learning rate 0), healthy and failed runs of 150 updates. On simulated nulls (batch 32) it fires at
6 standard errors in 1 % of runs of 150 updates, 15 % of 600 and 55 % of 2,000: a peak is a maximum, and grows with its
tries. 8 standard errors give less than 1 % at 2,000. The gain share takes over as soon as a run has learnt more than
some 24 standard errors.
"""

import math
from statistics import fmean

from pydantic import Field

from safelab.crash.fall import Fall, fall_step, root_mean_square
from safelab.crash.row import Row
from safelab.options import Options as BaseOptions
from safelab.options import State as BaseState


class Options(BaseOptions):
    """``gain_share`` of the gain so far, or ``standard_errors``, whichever is more."""

    window: int = Field(ge=1)
    gain_share: float = Field(ge=0)
    standard_errors: float = Field(ge=0)
    rearm_share: float = Field(gt=0, le=1)


class State(BaseState):
    """The last updates, the first full mean, the running peak with the deviation there.

    ``broken``: the reward was not finite, and no full window since is.
    """

    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    start: float | None = None
    fall: Fall | None = None
    peak_deviation: float = 0.0
    broken: bool = False


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``reward/mean`` and ``reward/std``, and the number of responses.

    The next one can begin, with M as the new peak, when ``rearm_share`` of the fall is recovered. A mean that is not
    finite is a crash, once; the next one can begin when a whole window is finite.
    """
    reward = row.reward()
    if reward is None:
        return None
    mean, deviation = reward
    if not math.isfinite(mean):
        falling = state.fall is not None and state.fall.trough is not None
        return State(start=state.start, broken=True), not (falling or state.broken)
    means = (*state.means, mean)[-options.window :]
    deviations = (*state.deviations, deviation)[-options.window :]
    state = state.model_copy(update={"means": means, "deviations": deviations})
    if len(means) < options.window:
        return state, False
    return _judge(options, state, fmean(means), root_mean_square(deviations), row.batch_size)


def _judge(options: Options, state: State, level: float, deviation: float, batch_size: int) -> tuple[State, bool]:
    start = level if state.start is None else state.start
    before = Fall(peak=level) if state.fall is None else state.fall
    error = max(deviation, state.peak_deviation) / math.sqrt(options.window * batch_size)
    tolerance = max(options.gain_share * (before.peak - start), options.standard_errors * error)
    fall, crashed = fall_step(before, level, tolerance, options.rearm_share)
    # Only a level that has just become the peak equals it.
    peak_deviation = deviation if fall.peak == level else state.peak_deviation
    changes = {"start": start, "fall": fall, "peak_deviation": peak_deviation, "broken": False}
    return state.model_copy(update=changes), crashed
