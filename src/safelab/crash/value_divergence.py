"""Value divergence: the critic's values are far worse than values that are all zero.

    mean of critic/error_ratio over the window > threshold

See ``excess``. Calibrated on fourteen runs: the mean over 10 updates stayed below 7.2 in thirteen of them, one with a
critic that never learns among them, and reached 72 in the one whose critic was broken on purpose (learning rate 1).
"""

from safelab.crash.excess import Options, State, excess_step
from safelab.crash.row import Row


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``critic/error_ratio``, the mean squared error of the values over that of zeros."""
    return excess_step(options, state, row.number("critic/error_ratio"))
