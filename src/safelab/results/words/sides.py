"""What several sentences ask of a difference, and the grammar that they share."""

from collections.abc import Sequence

from safelab.results.estimates import Estimate

SIGNIFICANT = 0.05
"""p below which a difference is called one."""


def side(difference: Estimate) -> str:
    """``above`` or ``below`` where the interval leaves out zero, else nothing."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return ""
    return "above" if low > 0 else "below" if high < 0 else ""


def is_or_are(names: Sequence[str]) -> str:
    """The verb of a place for one arm or more."""
    return "lies" if len(names) == 1 else "lie"
