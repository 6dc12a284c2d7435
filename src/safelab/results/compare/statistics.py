"""The statistics of a comparison of few runs: functions of numbers, each with its reference."""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from scipy import optimize, special, stats

from safelab.maths import shares
from safelab.results.estimates import Estimate, Proportion

LEVEL = 0.95
"""Of every interval."""

IQM_FROM = 8
"""Fewest runs of which an interquartile mean says more than a mean."""

EXACT_UP_TO = 16
"""Pairs up to which all sign flips are tried (65,536 of them); beyond, as many are drawn."""

LARGE = 1e100
"""Values beyond are scaled before they are squared."""

ROOT_MARGIN = 1e-9
"""How near to 0 and 1 an interval's end is looked for."""


def estimate(values: Sequence[float], least: float | None = None, greatest: float | None = None) -> Estimate:
    """Mean with its t interval ``m +- t_{n-1} s / sqrt(n)``, standard deviation, interquartile mean.

    One value has no interval and no deviation, none has no mean; a mean that is not finite stands alone, too, and so
    does one whose interval no float holds. Between bounds the interval stays inside, see ``inside``.
    """
    n = len(values)
    if n == 0:
        return Estimate(n=0, mean=None)
    data = np.asarray(values, dtype=np.float64)
    # Squares of what is larger than the root of the largest float are infinite: such values are scaled first.
    scale = size if np.isfinite(size := float(np.abs(data).max())) and size > LARGE else 1.0
    mean = scale * float((data / scale).mean())
    if n == 1 or not np.isfinite(mean):
        return Estimate(n=n, mean=None if np.isnan(mean) else mean)
    sd = scale * float((data / scale).std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
    iqm = interquartile_mean(values) if n >= IQM_FROM else None
    within = (least is None or data.min() >= least) and (greatest is None or data.max() <= greatest)
    # Of values outside, the bounds are not theirs.
    low, high = inside(mean, half, least, greatest) if within else (mean - half, mean + half)
    if not (math.isfinite(low) and math.isfinite(high)):
        return Estimate(n=n, mean=mean, sd=sd if math.isfinite(sd) else None, iqm=iqm)
    return Estimate(n=n, mean=mean, low=low, high=high, sd=sd, iqm=iqm)


def inside(mean: float, half: float, least: float | None, greatest: float | None) -> tuple[float, float]:
    """``mean +- half`` as an interval of a mean that cannot pass its bounds.

    Between two bounds it is made on the logit's scale, where there are none, by the delta method: with the share
    ``p = (mean - least) / (greatest - least)``, ``logit p +- half / ((greatest - least) p (1 - p))``, and back. It
    holds the mean, never passes a bound, and is nearly ``mean +- half`` where that is narrow and in the middle.

    With one bound the interval is cut there: that leaves out only what cannot be, and so loses no coverage. (On the
    logarithm's scale the other end is beyond all measure for two or three runs.)

    Ref: Agresti, Categorical data analysis, 2013, section 16.6 (delta method, logit intervals).
    """
    if least is None or greatest is None:
        low = mean - half if least is None else max(least, mean - half)
        return low, mean + half if greatest is None else min(greatest, mean + half)
    size = greatest - least
    share = (mean - least) / size
    if not 0 < share < 1:
        return mean, mean
    centre, off = math.log(share / (1 - share)), half / (size * share * (1 - share))
    low, high = (float(special.expit(end)) for end in (centre - off, centre + off))
    return least + size * low, least + size * high


def wilson(wins: float, n: int) -> Estimate:
    """``wins`` of ``n`` as a rate with Wilson's score interval; a tie counts as half a win.

    See ``maths.shares.wilson``.
    """
    if n == 0:
        return Estimate(n=0, mean=None)
    low, high = shares.wilson(wins / n, n)
    return Estimate(n=n, mean=wins / n, low=low, high=high)


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: ``floor(n / 4)`` values are cut at either end.

    Ref: Agarwal et al., Deep RL at the edge of the statistical precipice, 2021, section 4.3.
    """
    return float(stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25))


def proportion(k: int, n: int) -> Proportion:
    """``k`` of ``n`` with the exact interval of Clopper and Pearson (1934); without runs there is none."""
    if n == 0:
        return Proportion(k=0, n=0, low=None, high=None)
    interval = stats.binomtest(k, n).proportion_ci(confidence_level=LEVEL, method="exact")
    return Proportion(k=k, n=n, low=float(interval.low), high=float(interval.high))


def sign_flip_p(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences when each sign could as well be the other.

    Share of the ``2^n`` sign patterns whose mean is at least as far from 0. Exact to 16 pairs; beyond, 65,536
    patterns drawn with ``seed``, the observed one counted among them.

    ``scipy.stats.permutation_test`` gives the same p to 16 pairs (a test compares them), but refuses a single pair and
    takes five times as long (0.6 s instead of 0.12 s for 16 pairs), of which a report makes hundreds.

    Ref: Fisher, The design of experiments, 1935, section 21.
    """
    data = np.asarray(differences, dtype=np.float64)
    n = len(data)
    if (greatest := float(np.abs(data).max())) > LARGE:
        data = data / greatest if np.isfinite(greatest) else np.sign(data) * np.isinf(data)
    if n <= EXACT_UP_TO:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(2**EXACT_UP_TO - 1, n)) * 2.0 - 1.0
        signs = np.vstack([np.ones(n), drawn])
    sums = np.abs(signs @ data)
    return float(np.mean(sums >= sums[0] * (1 - 1e-12)))


@cache
def sign_flip_floor(n: int) -> float:
    """The least two-sided p that ``sign_flip_p`` can give for ``n`` pairs, which is that of pairs all of one sign.

    To 16 pairs it is ``2 / 2^n``; beyond, the share of the drawn patterns that are all of one sign: at least the
    observed one, 1 of 65,536, however many pairs there are.
    """
    return sign_flip_p([1.0] * n)


def improvement(arm: Sequence[float], baseline: Sequence[float], higher_is_better: bool = True) -> float:
    """Probability that a run of the arm beats one of the baseline, ties one half (Mann and Whitney, 1947)."""
    left, right = np.asarray(arm)[:, None], np.asarray(baseline)[None, :]
    wins = (left > right) if higher_is_better else (left < right)
    return float(np.mean(wins + 0.5 * (left == right)))


def improvement_interval(theta: float, m: int, n: int) -> tuple[float, float]:
    """95 % score interval of a probability of improvement seen as ``theta`` in ``m`` against ``n`` runs.

    The two ``t`` with ``|theta - t| = z sqrt(V(t))``, and for ``N = (m + n) / 2``
    ``V(t) = t (1 - t) (1 + (N - 1) ((1 - t) / (2 - t) + t / (1 + t))) / (m n)``.
    It has width even where one arm wins every time, as a bootstrap or a normal interval has not.

    Ref: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
    Statistics in Medicine 25, 2006, method 5.
    """
    z = float(stats.norm.ppf((1 + LEVEL) / 2))

    def excess(t: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return (theta - t) ** 2 - z * z * t * (1 - t) * spread / (m * n)

    # At 0 and 1 themselves both sides vanish: the root that is meant lies inside.
    low = 0.0 if theta <= 0 else float(optimize.brentq(excess, 0.0, min(theta, 1 - ROOT_MARGIN)))
    high = 1.0 if theta >= 1 else float(optimize.brentq(excess, max(theta, ROOT_MARGIN), 1.0))
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """Step-down correction for several tests: sorted p times (m, m - 1, ...), never falling, at most 1.

    Ref: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, reached = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        reached = max(reached, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = reached
    return corrected


def fisher_p(k: int, n: int, k_baseline: int, n_baseline: int) -> float:
    """Two-sided p of Fisher's exact test for ``k`` of ``n`` against ``k_baseline`` of ``n_baseline``."""
    table = [[k, n - k], [k_baseline, n_baseline - k_baseline]]
    return float(stats.fisher_exact(table).pvalue)


def fisher_floor(n: int, n_baseline: int) -> float:
    """The least p that so many runs can give: all of one arm, none of the other."""
    return fisher_p(n, n, 0, n_baseline)
