"""KL spike: the exact KL jumps above what it was in the updates before.

    kl > median + max(absolute, relative median),   the median over the window before this update

With the constants that ship it did not fire in any run in which nothing happens.
"""

import math
from statistics import median

from pydantic import Field

from safelab.crash.row import Row
from safelab.options import Options as BaseOptions
from safelab.options import State as BaseState


class Options(BaseOptions):
    """``absolute`` nats or ``relative`` share of the median, whichever is more, at most one in ``gap`` updates."""

    window: int = Field(ge=1)
    absolute: float = Field(gt=0)
    relative: float = Field(ge=0)
    gap: int = Field(ge=1)


class State(BaseState):
    """The last finite values, and for how many updates no spike counts."""

    recent: tuple[float, ...] = ()
    wait: int = 0


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``kl/ref_token_exact``. Needs a full window.

    A KL that is not finite is a spike, and never enters the window.
    """
    kl = row.number("kl/ref_token_exact")
    if kl is None:
        return None
    finite = math.isfinite(kl)
    high = not finite or (len(state.recent) == options.window and kl > _bound(options, state.recent))
    spike = high and state.wait == 0
    recent = (*state.recent, kl)[-options.window :] if finite else state.recent
    return State(recent=recent, wait=options.gap - 1 if spike else max(state.wait - 1, 0)), spike


def _bound(options: Options, recent: tuple[float, ...]) -> float:
    middle = median(recent)
    return middle + max(options.absolute, options.relative * middle)
