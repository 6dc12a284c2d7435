"""Repetition: the responses say the same token again and again.

    mean of response/repeat_rate over the window > threshold

See ``excess``. Calibrated on runs of six arms: the mean over 10 updates stayed below 0.1 in ten of them, null and
healthy, and reached 0.68 to 1 in the three whose responses really repeat.
"""

from safelab.crash.excess import Options, State, excess_step
from safelab.crash.row import Row


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``response/repeat_rate``, the share of neighbouring response tokens that are equal."""
    return excess_step(options, state, row.number("response/repeat_rate"))
