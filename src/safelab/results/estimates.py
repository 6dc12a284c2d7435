"""A number over runs, and a share of runs, each with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds. ``low`` and ``high``: 95 % interval, from two runs on; ``iqm``: from eight on."""

    n: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    iqm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """``k`` of ``n`` with its 95 % Clopper-Pearson interval."""

    k: int
    n: int
    low: float | None
    high: float | None
