"""Arms against the baseline: paired differences, permutation tests, probability of improvement, crash tests."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from safelab.results.compare.aggregate import Values, numbers
from safelab.results.compare.statistics import (
    estimate,
    fisher_floor,
    fisher_p,
    holm,
    improvement,
    improvement_interval,
    sign_flip_floor,
    sign_flip_p,
)
from safelab.results.estimates import Estimate
from safelab.results.model import ArmRow, Comparison, CrashComparison, Measure

LARGEST_LOG = 700.0
"""Beyond this a ratio is no float."""


def compare(values: Values, baseline: str | None, measures: Sequence[Measure]) -> list[Comparison]:
    """Every other arm against ``baseline`` in every measure; p corrected over the arms within a measure."""
    if baseline is None:
        return []
    arms = [arm for arm in values if arm != baseline]
    return [row for m in measures for row in _corrected([_compare(values, arm, baseline, m) for arm in arms])]


def compare_crashes(arms: Sequence[ArmRow], baseline: str | None) -> list[CrashComparison]:
    """Every other arm against ``baseline`` in every kind of crash that both looked for."""
    base = next((arm for arm in arms if arm.name == baseline), None)
    if base is None:
        return []
    return [
        _compare_crashes(arm, base, kind)
        for arm in arms
        if arm.name != baseline
        for kind in arm.crashed
        if kind in base.crashed
    ]


def paired(
    arm: Mapping[int, Mapping[str, float | None]], base: Mapping[int, Mapping[str, float | None]], key: str
) -> dict[int, float]:
    """Arm minus baseline, by seed, where both have the measure; two infinities have no difference."""
    pairs = {seed: (arm[seed][key], base[seed][key]) for seed in sorted(arm.keys() & base.keys())}
    gaps = {seed: left - right for seed, (left, right) in pairs.items() if left is not None and right is not None}
    return {seed: gap for seed, gap in gaps.items() if not math.isnan(gap)}


def overheads(values: Values, baseline: str | None) -> dict[str, Estimate]:
    """Per cent by which an update of each other arm takes longer than one of ``baseline`` on the same seed."""
    if baseline is None:
        return {}
    return {arm: percent(log_ratios(values[arm], values[baseline], "update_s")) for arm in values if arm != baseline}


def log_ratios(
    arm: Mapping[int, Mapping[str, float | None]], base: Mapping[int, Mapping[str, float | None]], key: str
) -> list[float]:
    """Log of arm over baseline of each seed that both have; its mean is the log of the geometric mean ratio."""

    def logs(values: Mapping[int, Mapping[str, float | None]]) -> dict[int, dict[str, float | None]]:
        return {
            seed: {key: math.log(v) if (v := row[key]) is not None and v > 0 else None} for seed, row in values.items()
        }

    return list(paired(logs(arm), logs(base), key).values())


def percent(ratios: Sequence[float]) -> Estimate:
    """Mean and interval of log ratios as changes in per cent."""
    found = estimate(ratios)
    mean, low, high = (
        None if v is None else 100 * math.expm1(v) if v < LARGEST_LOG else math.inf
        for v in (found.mean, found.low, found.high)
    )
    return Estimate(n=found.n, mean=mean, low=low, high=high)


def _compare(values: Values, arm: str, baseline: str, measure: Measure) -> Comparison:
    differences = paired(values[arm], values[baseline], measure.key)
    left, right = numbers(values[arm], measure.key), numbers(values[baseline], measure.key)
    n = len(differences)
    directed = bool(left and right and measure.better)
    share = improvement(left, right, measure.better == "higher") if directed else None
    # One run against one says which is higher, and nothing about the next.
    several = min(len(left), len(right)) > 1
    bounds = improvement_interval(share, len(left), len(right)) if share is not None and several else None
    return Comparison(
        arm=arm,
        measure=measure.key,
        seeds=list(differences),
        difference=estimate(list(differences.values()), *_apart(measure)),
        p=sign_flip_p(list(differences.values())) if n > 1 else None,
        p_floor=sign_flip_floor(n) if n > 1 else None,
        p_holm=None,
        p_holm_floor=None,
        improvement=share,
        improvement_low=bounds[0] if bounds else None,
        improvement_high=bounds[1] if bounds else None,
    )


def _apart(measure: Measure) -> tuple[float | None, float | None]:
    """How far two values of a measure can be apart, either way; no bound unless it has both."""
    if measure.least is None or measure.greatest is None:
        return None, None
    return measure.least - measure.greatest, measure.greatest - measure.least


def _corrected(rows: list[Comparison]) -> list[Comparison]:
    """The same rows with Holm's p over those that have one, and the least that it could be.

    Holm's correction rises with every p, so the least is that of all floors.
    """
    tested = [index for index, row in enumerate(rows) if row.p is not None]
    corrected = dict(zip(tested, holm([p for row in rows if (p := row.p) is not None]), strict=True))
    least = dict(zip(tested, holm([rows[index].p_floor or 0.0 for index in tested]), strict=True))
    return [replace(row, p_holm=corrected.get(i), p_holm_floor=least.get(i)) for i, row in enumerate(rows)]


def _compare_crashes(arm: ArmRow, base: ArmRow, kind: str) -> CrashComparison:
    left, right = arm.crashed[kind], base.crashed[kind]
    known = left.n > 0 and right.n > 0
    return CrashComparison(
        arm=arm.name,
        kind=kind,
        crashed=left,
        baseline=right,
        p=fisher_p(left.k, left.n, right.k, right.n) if known else None,
        p_floor=fisher_floor(left.n, right.n) if known else None,
    )
