"""From the rows of one run to its numbers."""

from collections.abc import Mapping, Sequence

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
    reward, gold = _series(frame, REWARD), _series(frame, GOLD)
    numbers = {
        "reward_mean": _mean(reward),
        "reward_final": _final(frame, REWARD),
        "gold_final": _final(frame, GOLD),
        "reward_sd": _deviation(reward),
        "reward_sd_rolling": _deviation(around_rolling_mean(reward, window)),
        "kl_mean": _mean(_series(frame, KL)),
        "kl_max": _greatest(_series(frame, KL)),
        "kl_final": _final(frame, KL),
        "entropy_final": _final(frame, ENTROPY),
        "gold_gap": _gap(_greatest(gold.rolling(window).mean().dropna()), _final(frame, GOLD)),
        "length_final": _final(frame, "response/length_mean"),
        "eos_final": _final(frame, "response/eos_rate"),
        "value_bias": _final(frame, "critic/bias"),
        "tokens_per_s": _median(_series(frame, "speed/tokens_per_s")),
        "update_s": _median(_series(frame, "time/total_s")),
    }
    return {m.key: numbers[m.key] if m.key in numbers else _final(frame, m.key) for m in measures}


def around_rolling_mean(series: "pd.Series[float]", window: int) -> "pd.Series[float]":
    """``x_t`` minus the mean of the ``window`` values around it: what is left of noise without the trend.

    Whole windows only, so that the ends, where the mean would be one-sided, do not count as noise.
    """
    return (series - series.rolling(window, center=True).mean()).dropna()


def crash_updates(frame: pd.DataFrame) -> dict[str, list[int]]:
    """Updates at which each kind of crash began; a kind that the run did not look for is absent."""
    return {
        kind: [int(update) for update in frame.loc[frame[kind] == 1, "update"]] for kind in CRASHES if kind in frame
    }


def settings_of(config: Mapping[str, object]) -> object:
    """The detectors' constants as the run's configuration has them, or None."""
    return config.get("detectors")


def _series(frame: pd.DataFrame, name: str) -> "pd.Series[float]":
    """The metric without the rows that lack it; empty where no row has it or it is no number."""
    if name not in frame or frame[name].dtype == object:
        return pd.Series(dtype=np.float64)
    return frame[name].dropna()


def _mean(series: "pd.Series[float]") -> float | None:
    return float(series.mean()) if len(series) else None


def _median(series: "pd.Series[float]") -> float | None:
    return float(series.median()) if len(series) else None


def _greatest(series: "pd.Series[float]") -> float | None:
    return float(series.max()) if len(series) else None


def _deviation(series: "pd.Series[float]") -> float | None:
    return float(series.std(ddof=1)) if len(series) > 1 else None


def _final(frame: pd.DataFrame, name: str) -> float | None:
    return _mean(_series(frame.tail(final_rows(len(frame))), name))


def _gap(peak: float | None, final: float | None) -> float | None:
    return None if peak is None or final is None else peak - final
