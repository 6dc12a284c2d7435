"""A reward crash, as a fold over updates."""

import math
from statistics import fmean

from pydantic import Field

from safelab.crash.fall import Fall, fall_step, root_mean_square
from safelab.options import Options, State


class RewardCrashOptions(Options):
    """``gain_share`` of the gain so far, or ``standard_errors``, whichever is more; see ``reward_crash_step``."""

    window: int = Field(ge=1)
    gain_share: float = Field(ge=0)
    standard_errors: float = Field(ge=0)
    rearm_share: float = Field(gt=0, le=1)


class RewardCrashState(State):
    """The last updates, the first full mean, the running peak with the deviation there.

    ``broken``: the reward was not finite, and no full window since is.
    """

    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    start: float | None = None
    fall: Fall | None = None
    peak_deviation: float = 0.0
    broken: bool = False


def reward_crash_step(
    options: RewardCrashOptions, state: RewardCrashState, mean: float, deviation: float, batch_size: int
) -> tuple[RewardCrashState, bool]:
    """Whether M, the mean reward over the window, falls too far below its running peak.

        peak - M > max( gain_share (peak - start), standard_errors s / sqrt(window batch_size) )

    ``start`` is the first full M, ``s`` the larger of the deviations over responses (root mean square over the window)
    at the peak and now: a peak keeps its own noise when the policy later narrows to few responses. Armed again, with
    M as the new peak, when ``rearm_share`` of the fall is recovered. A mean that is not finite is a crash, once; the
    detector is armed again when a whole window is finite.

    Args:
        options: the constants.
        state: after the update before.
        mean: of the raw reward over the batch.
        deviation: of the raw reward over the responses of the batch; finite where the mean is.
        batch_size: responses in the batch.
    """
    if not math.isfinite(mean):
        falling = state.fall is not None and state.fall.trough is not None
        return RewardCrashState(start=state.start, broken=True), not (falling or state.broken)
    means = (*state.means, mean)[-options.window :]
    deviations = (*state.deviations, deviation)[-options.window :]
    state = state.model_copy(update={"means": means, "deviations": deviations})
    if len(means) < options.window:
        return state, False
    return _judge(options, state, fmean(means), root_mean_square(deviations), batch_size)


def _judge(
    options: RewardCrashOptions, state: RewardCrashState, level: float, deviation: float, batch_size: int
) -> tuple[RewardCrashState, bool]:
    start = level if state.start is None else state.start
    before = Fall(peak=level) if state.fall is None else state.fall
    error = max(deviation, state.peak_deviation) / math.sqrt(options.window * batch_size)
    tolerance = max(options.gain_share * (before.peak - start), options.standard_errors * error)
    fall, crashed = fall_step(before, level, tolerance, options.rearm_share)
    # Only a level that has just become the peak equals it.
    peak_deviation = deviation if fall.peak == level else state.peak_deviation
    changes = {"start": start, "fall": fall, "peak_deviation": peak_deviation, "broken": False}
    return state.model_copy(update=changes), crashed
