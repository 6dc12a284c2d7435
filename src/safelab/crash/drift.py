"""KL spikes, a value that stays too high (KL, repetition) and entropy collapse, as folds over updates."""

import math
from statistics import fmean, median

from pydantic import Field

from safelab.options import Options, State


class KlSpikeOptions(Options):
    """``absolute`` nats or ``relative`` share of the median, whichever is more, at most one in ``gap`` updates."""

    window: int = Field(ge=1)
    absolute: float = Field(gt=0)
    relative: float = Field(ge=0)
    gap: int = Field(ge=1)


class KlSpikeState(State):
    """The last finite values, and for how many updates no spike counts."""

    recent: tuple[float, ...] = ()
    wait: int = 0


def kl_spike_step(options: KlSpikeOptions, state: KlSpikeState, kl: float) -> tuple[KlSpikeState, bool]:
    """``kl > median + max(absolute, relative median)``, the median over the window before this update.

    Needs a full window. A KL that is not finite is a spike, and never enters the window.
    """
    finite = math.isfinite(kl)
    high = not finite or (len(state.recent) == options.window and kl > _spike_bound(options, state.recent))
    spike = high and state.wait == 0
    recent = (*state.recent, kl)[-options.window :] if finite else state.recent
    return KlSpikeState(recent=recent, wait=options.gap - 1 if spike else max(state.wait - 1, 0)), spike


class ExcessOptions(Options):
    """``threshold`` in the unit of the value; over when the mean is below ``rearm_share`` of it."""

    window: int = Field(ge=1)
    threshold: float = Field(gt=0)
    rearm_share: float = Field(gt=0, le=1)


class ExcessState(State):
    """The last finite values, and whether an excess lasts."""

    recent: tuple[float, ...] = ()
    lasts: bool = False


def excess_step(options: ExcessOptions, state: ExcessState, value: float) -> tuple[ExcessState, bool]:
    """Mean over the window ``> threshold``; a new one can begin when it was below ``rearm_share threshold``.

    A KL explosion is one, and so are repetition and value divergence. Needs a full window. A value that is not finite
    begins one, and the window starts anew.
    """
    if not math.isfinite(value):
        return ExcessState(lasts=True), not state.lasts
    recent = (*state.recent, value)[-options.window :]
    if len(recent) < options.window:
        return ExcessState(recent=recent, lasts=state.lasts), False
    level = fmean(recent)
    begins = not state.lasts and level > options.threshold
    ends = level < options.rearm_share * options.threshold
    return ExcessState(recent=recent, lasts=begins or (state.lasts and not ends)), begins


class EntropyCollapseOptions(Options):
    """Below ``share`` of the first value for ``updates`` updates on end."""

    share: float = Field(gt=0, lt=1)
    updates: int = Field(ge=1)


class EntropyCollapseState(State):
    """The first value, and for how many updates on end the entropy was low."""

    start: float | None = None
    low: int = 0


def entropy_collapse_step(
    options: EntropyCollapseOptions, state: EntropyCollapseState, entropy: float
) -> tuple[EntropyCollapseState, bool]:
    """``entropy < share first entropy`` for ``updates`` updates on end: fires at the last of them.

    An entropy that is not finite is passed over: it is no sign of a narrow policy.
    """
    if not math.isfinite(entropy):
        return state, False
    start = entropy if state.start is None else state.start
    low = state.low + 1 if entropy < options.share * start else 0
    return EntropyCollapseState(start=start, low=low), low == options.updates


def _spike_bound(options: KlSpikeOptions, recent: tuple[float, ...]) -> float:
    middle = median(recent)
    return middle + max(options.absolute, options.relative * middle)
