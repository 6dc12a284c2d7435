"""From the rows of one run to its numbers."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from safelab.crash.table import KINDS
from safelab.results.model import Measure
from safelab.results.runs.measures import ENTROPY, GOLD, KL, REWARD, final_rows

Column = npt.NDArray[np.float64]

CRASHES = tuple(kind.key for kind in KINDS)
"""Columns that are 1 where a crash of that kind begins."""


def summarise(frame: pd.DataFrame, measures: Sequence[Measure], window: int) -> dict[str, float | None]:
    """Every measure of one run; None where the run has no such metric, or too few rows.

    Args:
        frame: one row per update.
        measures: which.
        window: updates of the rolling mean.
    """
    last = final_rows(len(frame))

    def column(name: str) -> Column:
        return _known(numbers_of(frame, name))

    def final(name: str) -> float | None:
        return _mean(_known(numbers_of(frame, name)[-last:]))

    makers: dict[str, Callable[[], float | None]] = {
        "reward_mean": lambda: _mean(column(REWARD)),
        "reward_final": lambda: final(REWARD),
        "gold_final": lambda: final(GOLD),
        "reward_sd": lambda: _deviation(column(REWARD)),
        "reward_sd_rolling": lambda: _deviation(around_rolling_mean(column(REWARD), window)),
        "kl_mean": lambda: _mean(column(KL)),
        "kl_max": lambda: _greatest(column(KL)),
        "kl_final": lambda: final(KL),
        "kl_spikes": lambda: _sum(column("crash/kl_spike")),
        "entropy_final": lambda: final(ENTROPY),
        "gold_gap": lambda: _gap(_greatest(rolling_mean(column(GOLD), window)), final(GOLD)),
        "length_final": lambda: final("response/length_mean"),
        "eos_final": lambda: final("response/eos_rate"),
        "value_bias": lambda: final("critic/bias"),
        "tokens_per_s": lambda: _median(column("speed/tokens_per_s")),
        "update_s": lambda: _median(column("time/total_s")),
    }
    return {m.key: makers[m.key]() if m.key in makers else final(m.key) for m in measures}


def around_rolling_mean(values: Column, window: int) -> Column:
    """``x_t`` minus the mean of the ``window`` values around it: what is left of noise without the trend.

    Whole windows only, so that the ends, where the mean would be one-sided, do not count as noise.
    """
    means = rolling_mean(values, window)
    before = window // 2
    noise: Column = values[before : before + len(means)] - means
    return noise


def rolling_mean(values: Column, window: int) -> Column:
    """Mean of each whole window of ``window`` values; empty where there are fewer."""
    if len(values) < window:
        return np.empty(0)
    means: Column = np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)
    return means


def crash_updates(frame: pd.DataFrame, kinds: Sequence[str] = CRASHES) -> dict[str, list[int]]:
    """Updates at which each of ``kinds`` began; a kind that the run did not look for is absent."""
    updates = frame["update"].to_numpy()
    return {kind: [int(update) for update in updates[frame[kind].to_numpy() == 1]] for kind in kinds if kind in frame}


def numbers_of(frame: pd.DataFrame, name: str) -> Column:
    """The metric, NaN in the rows that lack it; empty where no row has it or it is no number."""
    if name not in frame or (found := frame[name]).dtype == object:
        return np.empty(0)
    values: Column = found.to_numpy(dtype=np.float64)
    return values


def _known(values: Column) -> Column:
    known: Column = values[~np.isnan(values)]
    return known


def _mean(values: Column) -> float | None:
    return float(values.mean()) if len(values) else None


def _sum(values: Column) -> float | None:
    return float(values.sum()) if len(values) else None


def _median(values: Column) -> float | None:
    return float(np.median(values)) if len(values) else None


def _greatest(values: Column) -> float | None:
    return float(values.max()) if len(values) else None


def _deviation(values: Column) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _gap(peak: float | None, final: float | None) -> float | None:
    return None if peak is None or final is None else peak - final
