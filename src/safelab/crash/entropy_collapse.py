"""Entropy collapse: the policy has become narrow, and stays so.

    entropy < share first entropy,   for ``updates`` updates on end

With the constants that ship it did not fire in any run in which nothing happens.
"""

import math

from pydantic import Field

from safelab.crash.row import Row
from safelab.options import Options as BaseOptions
from safelab.options import State as BaseState


class Options(BaseOptions):
    """Below ``share`` of the first value for ``updates`` updates on end."""

    share: float = Field(gt=0, lt=1)
    updates: int = Field(ge=1)


class State(BaseState):
    """The first value, and for how many updates on end the entropy was low."""

    start: float | None = None
    low: int = 0


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``policy/entropy_token``. Fires at the last of the low updates.

    An entropy that is not finite is passed over: it is no sign of a narrow policy.
    """
    entropy = row.number("policy/entropy_token")
    if entropy is None:
        return None
    if not math.isfinite(entropy):
        return state, False
    start = entropy if state.start is None else state.start
    low = state.low + 1 if entropy < options.share * start else 0
    return State(start=start, low=low), low == options.updates
