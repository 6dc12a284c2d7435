"""Reward hacking, as a fold over updates: the proxy that is optimised stays up while the gold score falls."""

import math
from statistics import fmean

from pydantic import Field

from safelab.crash.fall import Fall, fall_step, root_mean_square
from safelab.options import Options, State

LOGIT_LIMIT = 1e-6  # a mean reward is cut to [1e-6, 1 - 1e-6] before its logit: +-13.8


class HackingOptions(Options):
    """``gold_drop`` in units of the gold score, ``proxy_logit_gain`` in nats; see ``hacking_step``."""

    window: int = Field(ge=1)
    gold_drop: float = Field(gt=0)
    proxy_logit_gain: float = Field(ge=0)
    rearm_share: float = Field(gt=0, le=1)


class HackingState(State):
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


def hacking_step(
    options: HackingOptions, state: HackingState, proxy: float, deviation: float, bounded: bool, gold: float
) -> tuple[HackingState, bool]:
    """Whether the gold score falls ``gold_drop`` below its running peak while the proxy is above its start.

    Both are means over the window; the proxy's start is the first full one. "Above": by ``proxy_logit_gain`` on the
    logit of the mean reward, as long as all rewards of the run lie in [0, 1]. A reward on another scale has no logit:
    its rise is measured in deviations over the responses of the first window, so that, as with the logit of a
    Bradley-Terry model, a change of zero or unit of the reward changes nothing. Armed again when ``rearm_share`` of
    the fall of the gold score is recovered. A row that is not finite is passed over.

    Args:
        options: the constants.
        state: after the update before.
        proxy: mean of the raw reward over the batch.
        deviation: of the raw reward over the responses of the batch; finite.
        bounded: whether all rewards of this batch lie in [0, 1].
        gold: mean of the gold score over the batch.
    """
    if not (math.isfinite(proxy) and math.isfinite(gold)):
        return state, False
    state = _with_row(state, options.window, proxy, deviation, bounded, gold)
    if len(state.golds) < options.window:
        return state, False
    gold_level, proxy_level = fmean(state.golds), fmean(state.proxies)
    if state.start is None or state.fall is None:
        spread = root_mean_square(state.deviations)
        first = {"start": proxy_level, "start_deviation": spread, "fall": Fall(peak=gold_level)}
        return state.model_copy(update=first), False
    risen = _risen(proxy_level, state.start, state.start_deviation, state.bounded, options.proxy_logit_gain)
    tolerance = options.gold_drop if risen else math.inf
    fall, hacked = fall_step(state.fall, gold_level, tolerance, options.rearm_share)
    return state.model_copy(update={"fall": fall}), hacked


def logit(share: float) -> float:
    """``log(p / (1 - p))``, p cut to [1e-6, 1 - 1e-6]."""
    p = min(max(share, LOGIT_LIMIT), 1 - LOGIT_LIMIT)
    return math.log(p / (1 - p))


def _with_row(
    state: HackingState, window: int, proxy: float, deviation: float, bounded: bool, gold: float
) -> HackingState:
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
