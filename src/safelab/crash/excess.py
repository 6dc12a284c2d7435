"""A value whose mean stays too high, as a fold: shared by KL explosion, repetition and value divergence."""

import math
from statistics import fmean

from pydantic import Field

from safelab.options import Options as BaseOptions
from safelab.options import State as BaseState


class Options(BaseOptions):
    """``threshold`` in the unit of the value; an excess is over when the mean is below ``rearm_share`` of it."""

    window: int = Field(ge=1)
    threshold: float = Field(gt=0)
    rearm_share: float = Field(gt=0, le=1)


class State(BaseState):
    """The last finite values, and whether an excess lasts."""

    recent: tuple[float, ...] = ()
    lasts: bool = False


def excess_step(options: Options, state: State, value: float | None) -> tuple[State, bool] | None:
    """Whether an excess now begins; None where there is no value.

        mean of the value over the window > threshold

    The next one can begin when the mean was below ``rearm_share threshold``. Nothing is judged before the window is
    full. A value that is not finite begins an excess, and the window starts anew.
    """
    if value is None:
        return None
    if not math.isfinite(value):
        return State(lasts=True), not state.lasts
    recent = (*state.recent, value)[-options.window :]
    if len(recent) < options.window:
        return State(recent=recent, lasts=state.lasts), False
    level = fmean(recent)
    begins = not state.lasts and level > options.threshold
    ends = level < options.rearm_share * options.threshold
    return State(recent=recent, lasts=begins or (state.lasts and not ends)), begins
