"""Ends a run whose numbers are lost: a NaN or an infinity in one of the named metrics never heals."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from safelab.contracts import Context
from safelab.errors import RunFailed, nearest
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """``metrics``: names as in ``metrics.jsonl``."""

    name: str
    metrics: Annotated[list[str], Field(min_length=1)]


def build(options: Options, context: Context) -> "StopGuard":
    """The guard; it holds no state."""
    return StopGuard(tuple(options.metrics))


class StopGuard:
    """``contracts.Guard``."""

    def __init__(self, metrics: tuple[str, ...]) -> None:
        self._metrics = metrics

    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """Which metric is not finite, and at which update.

        Raises:
            RunFailed: a watched metric is not in the row, so that it would be watched in vain.
        """
        for name in self._metrics:
            if name not in row:
                raise RunFailed(f"guard.metrics must name metrics of this run, got {name!r}: {nearest(name, row)}")
            value = row[name]
            if value is not None and not math.isfinite(value):
                return f"{name} was {value} at update {row['update']}"
        return None
