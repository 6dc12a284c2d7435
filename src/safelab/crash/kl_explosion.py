"""KL explosion: the policy is far from the reference, and stays there.

    mean of kl/ref_token_exact over the window > threshold

See ``excess``. With the constants that ship it did not fire in any run in which nothing happens.
"""

from safelab.crash.excess import Options, State, excess_step
from safelab.crash.row import Row


def step(options: Options, state: State, row: Row) -> tuple[State, bool] | None:
    """Reads ``kl/ref_token_exact``, in nats per response token."""
    return excess_step(options, state, row.number("kl/ref_token_exact"))
