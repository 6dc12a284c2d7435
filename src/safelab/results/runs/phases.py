"""Which phase the controllers were in: for each arm that of most of its seeds, as spans of updates."""

from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from safelab.results.model import PhaseLine
from safelab.results.runs.load import RunSet

PHASE = "controller/phase"


def phases(loaded: RunSet, arms: Sequence[str]) -> list[PhaseLine]:
    """One line for each of ``arms`` whose counted runs name a phase; nothing where none ever changes."""
    found = [line for arm in arms if (line := _line(loaded, arm)) is not None]
    return found if any(len(set(line.phase)) > 1 for line in found) else []


def _line(loaded: RunSet, arm: str) -> PhaseLine | None:
    frames = [run.record.metrics for run in loaded.arms[arm] if run.counted and PHASE in run.record.metrics]
    rows = pd.concat([frame[["update", PHASE]] for frame in frames]).dropna() if frames else pd.DataFrame()
    if rows.empty:
        return None
    # Of a tie the first by name, so that the same runs give the same line.
    votes = rows.astype({PHASE: str}).groupby(["update", PHASE]).size().unstack(fill_value=0).sort_index(axis=1)
    spans = [list(span) for _, span in groupby(votes.idxmax(axis=1).items(), key=lambda pair: pair[1])]
    return PhaseLine(
        arm=arm,
        first=[int(str(span[0][0])) for span in spans],
        last=[int(str(span[-1][0])) for span in spans],
        phase=[str(span[0][1]) for span in spans],
    )
