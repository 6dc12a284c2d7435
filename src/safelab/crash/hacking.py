"""Reward hacking: the reward that is optimised (the proxy) stays up while the gold score falls.

    peak gold - mean gold > gold_drop   while   the mean proxy is above its start

Both means are over the window; the proxy's start is its first full mean. "Above": by ``proxy_logit_gain`` on the logit
of the mean reward, as long as all rewards of the run lie in [0, 1]. A reward on another scale has no logit: its rise is
measured in deviations over the responses of the first window, so that, as with the logit of a Bradley-Terry model, a
change of zero or unit of the reward changes nothing.

A gold score that is the reward itself in every row of the window tells of no hacking: the two cannot part.

With the constants that ship it did not fire in any run in which nothing happens.
"""

import math
from statistics import fmean

from pydantic import Field

from safelab.crash.fall import Fall, fall_step, root_mean_square
from safelab.crash.row import Row
from safelab.options import Options as BaseOptions
from safelab.options import State as BaseState

LOGIT_LIMIT = 1e-6  # a mean reward is cut to [1e-6, 1 - 1e-6] before its logit: +-13.8


class Options(BaseOptions):
    """``gold_drop`` in units of the gold score, ``proxy_logit_gain`` in nats."""

    window: int = Field(ge=1)
    gold_drop: float = Field(gt=0)
    proxy_logit_gain: float = Field(ge=0)
    rearm_share: float = Field(gt=0, le=1)


class State(BaseState):
    """The last updates, where the proxy started, and the running peak of the gold score.

    ``bounded``: all rewards so far lie in [0, 1].
    """

    proxies: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()
    golds: tuple[float, ...] = ()
    start: float | None = None
    start_deviation: float = 0.0
    fall: Fall | None = None
    bounded: bool = True


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``reward/gold_mean``, ``reward/mean`` and ``reward/std``; ``reward/min`` and ``reward/max`` where they are.

    The next one can begin when ``rearm_share`` of the fall of the gold score is recovered. A row in which the proxy or
    the gold score is not finite is passed over.
    """
    reward, gold = row.reward(), row.number("reward/gold_mean")
    if reward is None or gold is None:
        return None
    proxy, deviation = reward
    if not (math.isfinite(proxy) and math.isfinite(gold)):
        return state, False
    state = _with_row(state, options.window, proxy, deviation, _bounded(row, proxy), gold)
    if len(state.golds) < options.window:
        return state, False
    gold_level, proxy_level = fmean(state.golds), fmean(state.proxies)
    if state.start is None or state.fall is None:
        spread = root_mean_square(state.deviations)
        first = {"start": proxy_level, "start_deviation": spread, "fall": Fall(peak=gold_level)}
        return state.model_copy(update=first), False
    # Where the gold score is the reward, the policy forgets, and has hacked nothing.
    parted = state.golds != state.proxies
    risen = _risen(proxy_level, state.start, state.start_deviation, state.bounded, options.proxy_logit_gain)
    tolerance = options.gold_drop if risen and parted else math.inf
    fall, hacked = fall_step(state.fall, gold_level, tolerance, options.rearm_share)
    return state.model_copy(update={"fall": fall}), hacked


def logit(share: float) -> float:
    """``log(p / (1 - p))``, p cut to [1e-6, 1 - 1e-6]."""
    p = min(max(share, LOGIT_LIMIT), 1 - LOGIT_LIMIT)
    return math.log(p / (1 - p))


def _bounded(row: Row, mean: float) -> bool:
    """Whether all rewards of this batch lie in [0, 1]; by the mean where the row has neither the least nor the most."""
    low, high = row.number("reward/min"), row.number("reward/max")
    return (mean if low is None else low) >= 0 and (mean if high is None else high) <= 1


def _with_row(state: State, window: int, proxy: float, deviation: float, bounded: bool, gold: float) -> State:
    changes = {
        "proxies": (*state.proxies, proxy)[-window:],
        "deviations": (*state.deviations, deviation)[-window:],
        "golds": (*state.golds, gold)[-window:],
        "bounded": state.bounded and bounded,
    }
    return state.model_copy(update=changes)


def _risen(level: float, start: float, start_deviation: float, bounded: bool, gain: float) -> bool:
    if bounded:
        return logit(level) - logit(start) >= gain
    # A start without any deviation gives no unit: then any rise counts, and none does not.
    return level > start and level - start >= gain * start_deviation
