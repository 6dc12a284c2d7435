"""Metrics over the updates: every run, and each arm's mean and range over its seeds, on one grid."""

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import pandas as pd

from safelab.errors import DataError, nearest
from safelab.results.model import Line, Panel
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.measures import PANELS

POINTS, FEWEST_POINTS = 400, 60
"""Most points of a line; longer runs are averaged over equally many updates for each point. With many runs a line gets
fewer, down to ``FEWEST_POINTS``: a page of 500 runs is to open as fast as one of 15."""
POINTS_OF_A_PANEL = 40_000
"""Points of all runs' lines in one panel, about."""

HIGHEST = 1e100
"""Values beyond this, either way, are not drawn: the arithmetic of an axis overflows on them."""

DIGITS = 5
"""Significant digits of a drawn point."""


def is_drawable(value: float | None) -> TypeGuard[float]:
    """Whether a picture can hold the value."""
    return value is not None and abs(value) <= HIGHEST  # false for NaN


def updates_per_point(loaded: RunSet) -> int:
    """Updates that one point of a line averages: 1 for 400 updates of 100 runs."""
    points = min(POINTS, max(FEWEST_POINTS, POINTS_OF_A_PANEL // max(1, len(loaded.runs))))
    last = max((int(run.record.metrics["update"].max()) for run in loaded.runs if len(run.record.metrics)), default=0)
    return last // points + 1


def panels(loaded: RunSet, extra: Sequence[str] = ()) -> list[Panel]:
    """One panel for each known metric (and each of ``extra``) that some run has and that is not 0 everywhere."""
    width = updates_per_point(loaded)
    wanted = dict(PANELS) | {name: (name, "") for name in extra if name not in PANELS}
    tables = {name: table for name in wanted if (table := _table(loaded, name, width)) is not None}
    return [_panel(name, *wanted[name], table) for name, table in tables.items()]


def panel(loaded: RunSet, name: str) -> Panel:
    """The panel of one metric, be it 0 everywhere.

    Raises:
        DataError: no run has a number of that name.
    """
    columns = _columns(loaded, name, updates_per_point(loaded))
    if not columns:
        numbers = [known for known in loaded.columns if known != "update"]
        raise DataError(f"the metric must be one that these runs have, got {name!r}; {nearest(name, numbers)}")
    return _panel(name, *PANELS.get(name, (name, "")), _drawable(columns))


def _table(loaded: RunSet, name: str, width: int) -> pd.DataFrame | None:
    """Steps by runs; None where there is nothing to draw."""
    if not (columns := _columns(loaded, name, width)):
        return None
    table = _drawable(columns)
    return table if bool((table.fillna(0) != 0).any(axis=None)) else None


def _columns(loaded: RunSet, name: str, width: int) -> "dict[tuple[str, str], pd.Series[float]]":
    """The curve of each run that counts, by arm and seed."""
    drawn = [run for run in loaded.runs if run.counted]
    return {(run.arm, str(run.seed)): series for run in drawn if (series := _binned(run, name, width)) is not None}


def _drawable(columns: "dict[tuple[str, str], pd.Series[float]]") -> pd.DataFrame:
    table = pd.DataFrame(columns).sort_index()
    return table.where(table.abs() <= HIGHEST)


def _binned(run: LoadedRun, name: str, width: int) -> "pd.Series[float] | None":
    frame = run.record.metrics
    if name not in frame or frame[name].dtype == object:
        return None
    step = frame["update"].to_numpy() // width * width
    values = frame[name].to_numpy()
    if width == 1:
        return pd.Series(values, index=step)
    starts, known = np.unique(step, return_index=True)[1], ~np.isnan(values)
    counts = np.add.reduceat(known, starts, dtype=np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        means = np.add.reduceat(np.where(known, values, 0.0), starts) / counts
    return pd.Series(means, index=step[starts])


def _panel(name: str, label: str, unit: str, table: pd.DataFrame) -> Panel:
    arms = [str(arm) for arm in table.columns.get_level_values(0).unique()]
    lines = [_line(arm, pd.DataFrame(table[arm])) for arm in arms]
    return Panel(metric=name, label=label, unit=unit, steps=[int(step) for step in table.index], lines=lines)


def _line(arm: str, seeds: pd.DataFrame) -> Line:
    """Mean and range are over the seeds that are there at a step: one that ended early leaves them then."""
    return Line(
        arm=arm,
        mean=_points(seeds.mean(axis=1)),
        low=_points(seeds.min(axis=1)),
        high=_points(seeds.max(axis=1)),
        seeds={str(seed): _points(seeds[seed]) for seed in seeds.columns},
    )


def _points(series: "pd.Series[float]") -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.{DIGITS}g}") for value in series]
