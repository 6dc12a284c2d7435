"""Is our mean over seeds that of a publication? Two one-sided tests beside the usual one, and what both allow to say.

A difference that is not significant is no evidence of equality: few seeds never find one. So equivalence is tested by
itself, against a margin that was set beforehand.

Ref: Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal of Pharmacokinetics
and Biopharmaceutics 15, 1987; Lakens, Equivalence tests, Social Psychological and Personality Science 8, 2017.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from safelab.results.compare.statistics import LEVEL, estimate
from safelab.results.estimates import Estimate
from safelab.results.paper_model import PaperVerdict

ALPHA = 1 - LEVEL
"""Of each test."""

SAME = 1e-12
"""Deviation, of the values' size, below which runs do not vary but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Ours minus the published, and two p: of no difference, and of one that is not within the margin.

    Both are None where there is no test: a single run, runs without any deviation, numbers that are not finite;
    ``p_equivalent`` also where no margin is given.
    """

    difference: Estimate
    p_different: float | None = None
    p_equivalent: float | None = None


def against_value(values: Sequence[float], published: float, low: float | None, high: float | None) -> Answer:
    """One-sample tests of the mean of ``values`` against a number that is published without deviation.

    ``d = m - published``, ``t = d / (s / sqrt(n))`` with ``n - 1`` degrees. The published number is taken as exact,
    though it has an error of its own: the interval is therefore too narrow rather than too wide.

    Args:
        values: one per run.
        published: the number.
        low: least difference that still counts as none (below 0); None: no margin.
        high: greatest such difference (above 0); None: no margin.
    """
    found = estimate(values)
    if (mean := found.mean) is None:
        return Answer(difference=Estimate(n=0, mean=None))
    difference = mean - published
    if (sd := found.sd) is None or not sd > SAME * max(map(abs, values)):
        return Answer(difference=Estimate(n=found.n, mean=difference))
    return _tested(difference, sd / math.sqrt(found.n), found.n - 1, found.n, (low, high))


def against_runs(
    values: Sequence[float], published: float, sd: float, runs: int, low: float | None, high: float | None
) -> Answer:
    """Welch's tests against a mean that is published with the deviation over its runs.

    ``t = d / e``, ``e^2 = s^2 / n + sd^2 / runs``, degrees ``e^4 / ((s^2/n)^2 / (n-1) + (sd^2/runs)^2 / (runs-1))``.

    Args:
        values: one per run of ours.
        published: mean over the published runs.
        sd: their deviation, with ``runs - 1`` below.
        runs: how many, at least two.
        low: as in ``against_value``.
        high: as in ``against_value``.

    Ref: Welch, The generalization of Student's problem, Biometrika 34, 1947.
    """
    found = estimate(values)
    if (mean := found.mean) is None:
        return Answer(difference=Estimate(n=0, mean=None))
    difference = mean - published
    if found.sd is None:
        return Answer(difference=Estimate(n=found.n, mean=difference))
    # Products, of which one that no float holds is infinite: a power would raise.
    ours, theirs = found.sd * found.sd / found.n, sd * sd / runs
    if not math.sqrt(ours + theirs) > SAME * max(abs(published), *map(abs, values)):
        return Answer(difference=Estimate(n=found.n, mean=difference))
    whole, left, right = ((ours + theirs) * (ours + theirs), ours * ours / (found.n - 1), theirs * theirs / (runs - 1))
    degrees = whole / (left + right)
    return _tested(difference, math.sqrt(ours + theirs), degrees, found.n, (low, high))


def verdict(answer: Answer) -> PaperVerdict:
    """What the two tests allow to say, and no more.

    Equivalent: both one-sided tests passed, whether or not a difference within the margin is there as well.
    Different: a difference was found and equivalence was not; that it exceeds the margin is not said.
    Not decided: neither.
    """
    if answer.p_different is None:
        return "not tested"
    if answer.p_equivalent is not None and answer.p_equivalent < ALPHA:
        return "equivalent"
    return "different" if answer.p_different < ALPHA else "not decided"


def _tested(
    difference: float, error: float, degrees: float, n: int, margin: tuple[float | None, float | None]
) -> Answer:
    if not (math.isfinite(difference) and math.isfinite(error)):
        return Answer(difference=Estimate(n=n, mean=difference))
    half = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    low, high = margin
    p_equivalent = None
    if low is not None and high is not None:
        above = stats.t.sf((difference - low) / error, degrees)
        below = stats.t.cdf((difference - high) / error, degrees)
        p_equivalent = float(max(above, below))
    return Answer(
        difference=Estimate(n=n, mean=difference, low=difference - half, high=difference + half),
        p_different=float(2 * stats.t.sf(abs(difference) / error, degrees)),
        p_equivalent=p_equivalent,
    )
