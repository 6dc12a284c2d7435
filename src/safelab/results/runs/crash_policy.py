"""What a run that crashed contributes to the averages: a choice, so it is stated, and its effect is shown.

``last_value``: what was measured; a run that stopped early keeps its last values to the planned end.
``floor``: from the first crash on (or where it stopped), rewards are the least that any run of the report had.
``exclude``: left out of the averages, in all measures. Crash rates always count every run.
"""

import numpy as np
import pandas as pd

from safelab.results.model import CrashPolicy
from safelab.results.runs.load import LoadedRun, RunSet
from safelab.results.runs.measures import GOLD, REWARD
from safelab.results.runs.metrics import CRASHES, crash_updates

POLICIES: tuple[CrashPolicy, ...] = ("last_value", "floor", "exclude")
FLOORED = (REWARD, GOLD)
BROKEN = ("failed", "diverged")
"""How a run is said to have ended before its time."""


def crash_update(run: LoadedRun) -> int | None:
    """Where a run first crashed: the first reward crash, else where it failed; None if neither."""
    frame = run.record.metrics
    if first := crash_updates(frame, ["crash/reward"]).get("crash/reward"):
        return first[0]
    return int(frame["update"].max()) + 1 if run.record.info.status in BROKEN and len(frame) else None


def floors(loaded: RunSet) -> dict[str, float]:
    """The least value of each floored metric over all runs that count."""
    found: dict[str, float] = {}
    for run in loaded.runs:
        for name in FLOORED:
            frame = run.record.metrics
            if run.counted and name in frame and np.isfinite(least := frame[name].min()):
                found[name] = min(found.get(name, np.inf), float(least))
    return found


def under_policy(run: LoadedRun, policy: CrashPolicy, floor: dict[str, float]) -> pd.DataFrame | None:
    """The rows with which a counted run enters the averages, or None if it does not."""
    frame, crash = run.record.metrics, crash_update(run)
    if crash is None:
        return frame
    if policy == "exclude":
        return None
    if run.record.info.status in BROKEN:
        frame = to_the_end(frame, run.record.info.updates)
    if policy == "floor":
        frame = frame.assign(**{name: frame[name].where(frame["update"] < crash, floor[name]) for name in floor})
    return frame


def to_the_end(frame: pd.DataFrame, planned: int) -> pd.DataFrame:
    """``frame`` with its last known values repeated up to the planned number of updates; no crash is repeated."""
    missing = np.arange(int(frame["update"].max()) + 1, planned)
    last = frame.ffill().iloc[[-1]].drop(columns="update")
    last = last.assign(**{kind: 0.0 for kind in CRASHES if kind in last})
    tail = pd.concat([last] * len(missing), ignore_index=True).assign(update=missing) if len(missing) else None
    return frame if tail is None else pd.concat([frame, tail], ignore_index=True)
