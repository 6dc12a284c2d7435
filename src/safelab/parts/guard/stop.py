"""Ends a run that is lost: a number that is not finite, a crash by the report's own definitions, too high a KL."""

from collections.abc import Mapping
from typing import Any

from safelab.contracts import Context
from safelab.parts.guard._watch import WatchOptions, objection


class Options(WatchOptions):
    """What is watched, and no more."""


def build(options: Options, context: Context) -> "StopGuard":
    """The guard; it holds no state."""
    return StopGuard(options)


class StopGuard:
    """``contracts.Guard``."""

    remedy = None

    def __init__(self, options: Options) -> None:
        self._options = options

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """What is wrong, and at which update; the first that is found.

        Raises:
            RunFailed: a watched metric is not in the row.
        """
        return objection(self._options, row)
