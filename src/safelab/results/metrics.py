"""From the rows of one run to its numbers."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from safelab.results.measures import ENTROPY, GOLD, KL, REWARD, final_rows
from safelab.results.model import Measure

CRASHES = ("crash/reward", "crash/kl_spike", "crash/kl_explosion", "crash/entropy_collapse", "crash/hacking")
"""Columns that are 1 where a crash of that kind begins; the definitions are in ``safelab.maths.detectors``."""


def summarise(frame: pd.DataFrame, measures: Sequence[Measure], window: int) -> dict[str, float | None]:
    """Every measure of one run; None where the run has no such metric, or too few rows.

    Args:
        frame: one row per update.
        measures: which.
        window: updates of the rolling mean.
    """
    tail = frame.tail(final_rows(len(frame)))

    def column(name: str) -> "pd.Series[float]":
        return _series(frame, name)

    def final(name: str) -> float | None:
        return _mean(_series(tail, name))

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
        "gold_gap": lambda: _gap(_greatest(column(GOLD).rolling(window).mean().dropna()), final(GOLD)),
        "length_final": lambda: final("response/length_mean"),
        "eos_final": lambda: final("response/eos_rate"),
        "value_bias": lambda: final("critic/bias"),
        "tokens_per_s": lambda: _median(column("speed/tokens_per_s")),
        "update_s": lambda: _median(column("time/total_s")),
    }
    return {m.key: makers[m.key]() if m.key in makers else final(m.key) for m in measures}


def around_rolling_mean(series: "pd.Series[float]", window: int) -> "pd.Series[float]":
    """``x_t`` minus the mean of the ``window`` values around it: what is left of noise without the trend.

    Whole windows only, so that the ends, where the mean would be one-sided, do not count as noise.
    """
    return (series - series.rolling(window, center=True).mean()).dropna()


def crash_updates(frame: pd.DataFrame) -> dict[str, list[int]]:
    """Updates at which each kind of crash began; a kind that the run did not look for is absent."""
    return {
        kind: [int(update) for update in frame["update"].to_numpy()[frame[kind].to_numpy() == 1]]
        for kind in CRASHES
        if kind in frame
    }


def _series(frame: pd.DataFrame, name: str) -> "pd.Series[float]":
    """The metric without the rows that lack it; empty where no row has it or it is no number."""
    if name not in frame or frame[name].dtype == object:
        return pd.Series(dtype=np.float64)
    return frame[name].dropna()


def _mean(series: "pd.Series[float]") -> float | None:
    return float(series.mean()) if len(series) else None


def _sum(series: "pd.Series[float]") -> float | None:
    return float(series.sum()) if len(series) else None


def _median(series: "pd.Series[float]") -> float | None:
    return float(series.median()) if len(series) else None


def _greatest(series: "pd.Series[float]") -> float | None:
    return float(series.max()) if len(series) else None


def _deviation(series: "pd.Series[float]") -> float | None:
    return float(series.std(ddof=1)) if len(series) > 1 else None


def _gap(peak: float | None, final: float | None) -> float | None:
    return None if peak is None or final is None else peak - final
