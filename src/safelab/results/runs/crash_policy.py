"""What a run that crashed contributes to the averages: a choice, so it is stated, and its effect is shown.

``last_value``: what was measured; a run that diverged keeps its last values to the planned end, in means over its
updates and in final values. Deviations, rolling means and medians are of what was measured: a value that is repeated is
steady by construction.
``floor``: from the first reward crash on (or where it diverged), rewards are the least that any run of the report had.
``exclude``: runs with a reward crash, and those that diverged, are left out of the averages, in all measures.
Crash rates always count every run that counts. An unfinished run that is asked for has not crashed by being unfinished:
it keeps its last values under every policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from safelab.results.model import CrashPolicy
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.measures import GOLD, REWARD
from safelab.results.runs.metrics import CRASHES, crash_updates

POLICIES: tuple[CrashPolicy, ...] = ("last_value", "floor", "exclude")
FLOORED = (REWARD, GOLD)
DIVERGED: Final = "diverged"
"""How a run is said to have ended before its time by its own doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a run enters the averages with: the rows of ``frame``, and ``missing`` more updates, each with ``rest``."""

    frame: pd.DataFrame
    missing: int = 0
    rest: Mapping[str, float] = field(default_factory=dict)


def crash_update(run: LoadedRun) -> int | None:
    """Where a run first crashed: the first reward crash, else where it diverged; None if neither."""
    frame = run.record.metrics
    if first := crash_updates(frame, ["crash/reward"]).get("crash/reward"):
        return first[0]
    return int(frame["update"].max()) + 1 if run.record.info.status == DIVERGED and len(frame) else None


def floors(loaded: RunSet) -> dict[str, float]:
    """The least value of each floored metric over all runs that count."""
    found: dict[str, float] = {}
    for run in loaded.runs:
        for name in FLOORED:
            frame = run.record.metrics
            if run.counted and name in frame and np.isfinite(least := frame[name].min()):
                found[name] = min(found.get(name, np.inf), float(least))
    return found


def under_policy(run: LoadedRun, policy: CrashPolicy, floor: Mapping[str, float]) -> Entry | None:
    """What a counted run enters the averages with, or None if it does not."""
    frame, crash = run.record.metrics, crash_update(run)
    if crash is not None and policy == "exclude":
        return None
    short = run.record.info.status != "finished"
    missing = max(0, run.record.info.updates - int(frame["update"].max()) - 1) if short else 0
    rest = last_known(frame) if missing else {}
    if crash is not None and policy == "floor":
        frame = frame.assign(
            **{name: frame[name].where(frame["update"] < crash, floor[name]) for name in floored(frame, floor)}
        )
        rest = {**rest, **{name: floor[name] for name in floored(frame, floor)}} if missing else {}
    return Entry(frame=frame, missing=missing, rest=rest)


def floored(frame: pd.DataFrame, floor: Mapping[str, float]) -> list[str]:
    """The metrics of ``floor`` that a run has."""
    return [name for name in floor if name in frame]


def last_known(frame: pd.DataFrame) -> dict[str, float]:
    """The last known value of each metric; of a kind of crash 0: none is repeated."""
    last = frame.drop(columns="update").select_dtypes("number").ffill().iloc[-1].dropna()
    return {str(name): 0.0 if name in CRASHES else float(value) for name, value in last.items()}
