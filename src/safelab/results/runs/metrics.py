"""From the rows of one run to its numbers."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from safelab.crash.table import KINDS
from safelab.results.model import Measure
from safelab.results.runs.measures import ENTROPY, GOLD, KL, REWARD, final_rows

Column = npt.NDArray[np.float64]

LARGE = 1e100
"""Values beyond are scaled before they are added up or squared."""

CRASHES = tuple(kind.key for kind in KINDS)
"""Columns that are 1 where a crash of that kind begins."""


def summarise(
    frame: pd.DataFrame,
    measures: Sequence[Measure],
    window: int,
    missing: int = 0,
    rest: Mapping[str, float] | None = None,
) -> dict[str, float | None]:
    """Every measure of one run; None where the run has no such metric, too few rows, or what is no number (inf - inf).

    Args:
        frame: one row per update.
        measures: which.
        window: updates of the rolling mean.
        missing: updates after those of ``frame`` that enter means and final values, never deviations and medians.
        rest: what each metric is in all of them; one that is absent here is absent there.
    """
    after = rest if missing and rest is not None else {}
    last = final_rows(len(frame) + missing)

    def column(name: str) -> Column:
        return _known(numbers_of(frame, name))

    def mean(name: str) -> float | None:
        return _mean(column(name), missing, after.get(name))

    def final(name: str) -> float | None:
        tail = numbers_of(frame, name)[max(0, len(frame) - max(0, last - missing)) :]
        return _mean(_known(tail), min(missing, last), after.get(name))

    makers: dict[str, Callable[[], float | None]] = {
        "reward_mean": lambda: mean(REWARD),
        "reward_final": lambda: final(REWARD),
        "gold_final": lambda: final(GOLD),
        "reward_sd": lambda: _deviation(column(REWARD)),
        "reward_sd_rolling": lambda: _deviation(around_rolling_mean(column(REWARD), window)),
        "kl_mean": lambda: mean(KL),
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
    found = {m.key: makers[m.key]() if m.key in makers else final(m.key) for m in measures}
    return {key: None if value is not None and math.isnan(value) else value for key, value in found.items()}


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
    # Divided before they are added up: the sum of values near the largest float is none.
    large = bool(len(finite := values[np.isfinite(values)])) and float(np.abs(finite).max()) > LARGE
    windows = np.lib.stride_tricks.sliding_window_view(values / window if large else values, window)
    means: Column = windows.sum(axis=1) if large else windows.mean(axis=1)
    return means


def crash_updates(frame: pd.DataFrame, kinds: Sequence[str] = CRASHES) -> dict[str, list[int]]:
    """Updates at which each of ``kinds`` began; a kind that the run did not look for is absent."""
    updates = frame["update"].to_numpy()
    return {kind: [int(update) for update in updates[frame[kind].to_numpy() == 1]] for kind in kinds if kind in frame}


def mean_of(values: Column) -> float:
    """Mean of values of any size: where their sum is no float any more, of the values over the greatest."""
    plain = float(values.mean())
    if math.isfinite(plain) or not np.isfinite(values).all():
        return plain
    greatest = float(np.abs(values).max())
    return greatest * float((values / greatest).mean())


def numbers_of(frame: pd.DataFrame, name: str) -> Column:
    """The metric, NaN in the rows that lack it; empty where no row has it or it is no number."""
    if name not in frame or (found := frame[name]).dtype == object:
        return np.empty(0)
    values: Column = found.to_numpy(dtype=np.float64)
    return values


def _known(values: Column) -> Column:
    known: Column = values[~np.isnan(values)]
    return known


def _mean(values: Column, more: int = 0, value: float | None = None) -> float | None:
    """Mean of ``values`` and of ``more`` that are all ``value``."""
    if value is None or more == 0:
        return mean_of(values) if len(values) else None
    share = len(values) / (len(values) + more)
    return (share * mean_of(values) if len(values) else 0.0) + (1 - share) * value


def _sum(values: Column) -> float | None:
    return float(values.sum()) if len(values) else None


def _median(values: Column) -> float | None:
    return float(np.median(values)) if len(values) else None


def _greatest(values: Column) -> float | None:
    return float(values.max()) if len(values) else None


def _deviation(values: Column) -> float | None:
    if len(values) < 2:
        return None
    greatest = float(np.abs(values).max())
    # Squares of what is larger than the root of the largest float are infinite: such values are scaled first.
    scale = greatest if math.isfinite(greatest) and greatest > LARGE else 1.0
    return scale * float((values / scale).std(ddof=1))


def _gap(peak: float | None, final: float | None) -> float | None:
    return None if peak is None or final is None else peak - final
