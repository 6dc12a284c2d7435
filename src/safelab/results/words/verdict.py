"""The result in words: what differs, by how much, how sure that is.

Each clause is said only where the number that it speaks of bears it out, and an arm that cannot be compared is named
with the reason.
"""

import math
from collections.abc import Iterable, Sequence

from safelab.results import text
from safelab.results.estimates import Estimate
from safelab.results.model import ArmRow, BudgetRow, Comparison, Levels, Measure
from safelab.results.words.asides import crashes_said, equal_kl_said, gold_said, steadiness_said
from safelab.results.words.sides import SIGNIFICANT, is_or_are, side

INDICATIVE_BELOW = 5
"""Pairs below which a comparison only indicates."""

CORRECTED = " The test corrected over all arms"

NAMED = 6
"""Most arms that get a sentence of their own."""


def verdict(
    arms: Sequence[ArmRow],
    comparisons: Sequence[Comparison],
    baseline: str | None,
    measures: Sequence[Measure],
    equal_kl: Sequence[BudgetRow] = (),
    gold: Levels | None = None,
    caveats: Sequence[str] = (),
    named: Sequence[str] = (),
) -> list[str]:
    """Sentences, the most important first: primary measure, ``caveats``, crashes, gold score, equal KL, steadiness.

    ``named``: the baselines that the runs' studies name, for why there is none.
    """
    if not any(arm.counted for arm in arms):
        nothing = "No run has finished, so there are no numbers to compare; --include-unfinished shows what there is."
        return [nothing, *caveats]
    base = next((arm for arm in arms if arm.name == baseline), None)
    rows = [row for row in comparisons if row.measure == measures[0].key]
    return [
        *(_primary(arms, base, rows, measures[0]) if base else [_without_baseline(arms, measures[0], named)]),
        *caveats,
        *crashes_said(arms),
        *gold_said(arms, gold, measures),
        *(equal_kl_said(equal_kl, base.name) if base else []),
        *(steadiness_said(arms, base, measures) if base else []),
    ]


def _without_baseline(arms: Sequence[ArmRow], measure: Measure, named: Sequence[str]) -> str:
    """An arm alone, or how to name the one that the others are to be compared with."""
    if len(arms) == 1:
        return _headline(arms[0], [], [], measure)
    names = text.listed([arm.name for arm in arms if arm.counted])
    if named:
        why = f"is {named[0]}, which is no arm here" if len(named) == 1 else f"differs ({text.listed(named)})"
        return (
            f"The baseline that the runs' studies name {why}, so no arm is compared with another: name one with "
            f"--baseline ARM ({names})."
        )
    return (
        "No baseline is named, so no arm is compared with another: name one with --baseline ARM, or for good with "
        f"baseline: ARM beside the study's arms ({names})."
    )


def _primary(arms: Sequence[ArmRow], base: ArmRow, rows: Sequence[Comparison], measure: Measure) -> list[str]:
    """The headline, and a sentence for each arm that can be compared, the largest difference first."""
    by_name = {arm.name: arm for arm in arms}
    known = [row for row in rows if _is_known(row)]
    order = sorted(known, key=lambda row: -abs(row.difference.mean or 0.0))
    unknown = _unknown([row for row in rows if not _is_known(row)], by_name, base, measure)
    said = [_headline(base, order, unknown, measure)]
    said += [_against(by_name[row.arm], base, row, measure) for row in order[:NAMED]]
    if more := len(order) - NAMED:
        if more == 1:
            said.append("1 further arm differs by no more; it is in the table.")
        elif more > 1:
            said.append(f"{more} further arms differ by no more; they are in the table.")
    return said


def _is_known(row: Comparison) -> bool:
    return row.difference.mean is not None and math.isfinite(row.difference.mean)


def _unknown(
    rows: Iterable[Comparison], arms: dict[str, ArmRow], base: ArmRow, measure: Measure
) -> list[tuple[str, list[str]]]:
    """Why arms cannot be compared with the baseline, each reason with its arms."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(_reason(row, arms[row.arm], base, measure), []).append(row.arm)
    return list(reasons.items())


def _reason(row: Comparison, arm: ArmRow, base: ArmRow, measure: Measure) -> str:
    """A verb in the singular and one in the plural, and what follows."""
    if not arm.counted:
        return "has|have no run that counts"
    if not arm.estimates[measure.key].n:
        return "has|have no value of it"
    if not set(arm.seeds) & set(base.seeds):
        return "shares|share no seed with it"
    if not row.difference.n and not _infinite(arm, base, measure):
        return "has|have a value at no seed at which it has one"
    return "has|have no finite difference from it"


def _infinite(arm: ArmRow, base: ArmRow, measure: Measure) -> bool:
    means = (arm.estimates[measure.key].mean, base.estimates[measure.key].mean)
    return any(mean is None or math.isinf(mean) for mean in means)


def _headline(
    base: ArmRow, rows: Sequence[Comparison], unknown: Sequence[tuple[str, list[str]]], measure: Measure
) -> str:
    """Which arms are above, which below, which not told apart, which cannot be compared: one sentence."""
    inside = f"In {_inside(measure)}"
    own = base.estimates[measure.key]
    if not own.n:
        lacks = "no run that counts" if not base.counted else "no value of it"
        return f"{inside}, the baseline {base.name} has {lacks}: nothing can be compared with it."
    level = f"{base.name} ({text.estimate(own, measure)}, {_runs(base, own)})"
    if not rows and not unknown:
        return f"{inside}, {level} stands alone: there is no other arm to compare it with."
    reasons = [_clause(reason, names) for reason, names in unknown]
    if not rows:
        return f"{inside}, nothing can be compared with {level}: {'; '.join(reasons)}."
    groups = {way: [row.arm for row in rows if _way(row) == way] for way in ("above", "below")}
    parts = [f"{text.listed(names)} {is_or_are(names)} {way}" for way, names in groups.items() if names]
    several = [row.arm for row in rows if _way(row) == "" and row.difference.n > 1]
    single = [row.arm for row in rows if row.difference.n == 1]
    first = f"{' and '.join(parts)} {level}" if parts else ""
    rest = [first] if first else []
    for names, singular, plural in (
        (several, "cannot be told apart from", "cannot be told apart from"),
        (single, "has a single seed in common with", "have a single seed in common with"),
    ):
        if names:
            rest.append(f"{text.listed(names)} {singular if len(names) == 1 else plural} {'it' if rest else level}")
    if single:
        rest[-1] += ", which tells nothing of others"
    return f"{inside}, {'; '.join([*rest, *reasons])}.{_confirmed(rows)}"


def _clause(reason: str, names: Sequence[str]) -> str:
    verbs, _, rest = reason.partition(" ")
    one, many = verbs.split("|")
    return f"{text.listed(names)} {one if len(names) == 1 else many} {rest}"


def _confirmed(rows: Sequence[Comparison]) -> str:
    """Which of the intervals without zero the test corrected over all arms bears out, where it could bear out any."""
    apart = [row for row in rows if _way(row)]
    if not any(row.difference.n >= INDICATIVE_BELOW for row in apart):
        return ""
    borne_out = [row.arm for row in apart if row.p_holm is not None and row.p_holm < SIGNIFICANT]
    if len(borne_out) == len(apart):
        return ""
    if borne_out:
        return f"{CORRECTED} confirms {text.listed(borne_out)}."
    if not any(_could_be_confirmed(row) for row in apart):
        return f"{CORRECTED} could confirm none of these differences: there are too few pairs for that."
    return f"{CORRECTED} confirms none of these differences."


def _could_be_confirmed(row: Comparison) -> bool:
    return row.p_holm_floor is not None and row.p_holm_floor < SIGNIFICANT


def _way(row: Comparison) -> str:
    """``above`` or ``below`` where the interval of the difference leaves out zero, else nothing."""
    return side(row.difference)


def _against(arm: ArmRow, base: ArmRow, row: Comparison, measure: Measure) -> str:
    """One arm's sentence: size, direction, and how far it can be trusted."""
    gap, own = row.difference, arm.estimates[measure.key]
    level = text.number(own.mean, measure.digits)
    early = bool(arm.cut_short) and own.n == arm.counted
    cut = f" ({arm.cut_short} of its {text.runs(arm.counted)} ended early)" if early else ""
    if gap.n == 1:
        size = text.clear(gap.mean, measure.digits, signed=True)
        return f"{arm.name}: {level}{cut}, {size} against {base.name} on the one seed that both have; no interval."
    shared = f" on the {gap.n} seeds that both have" if gap.n < max(own.n, base.estimates[measure.key].n) else ""
    size = text.difference(gap, measure.digits)
    return f"{arm.name}: {level}{cut}, {size} against {base.name}{shared}; {_sureness(row)}."


def _sureness(row: Comparison) -> str:
    gap, apart = row.difference, bool(_way(row))
    if gap.n < INDICATIVE_BELOW:
        return "indicative, the interval leaves out zero" if apart else "not told apart"
    tests = f"sign-flip {text.p_value(row.p)}, corrected {text.p_value(row.p_holm)}, {gap.n} pairs"
    if row.p_holm is not None and row.p_holm < SIGNIFICANT and apart:
        reading = "a clear difference"
    elif apart and not _could_be_confirmed(row):
        least = f"its least is {text.p_value(row.p_holm_floor)}"
        reading = f"the interval leaves out zero, the corrected test could not confirm it with so few pairs: {least}"
    elif apart:
        reading = "the interval leaves out zero, the corrected test does not confirm it"
    else:
        reading = "not told apart"
    return f"{reading} ({tests})"


def _runs(arm: ArmRow, own: Estimate) -> str:
    """``3 runs``; ``2 of 3 runs`` where not all have a value; how many of them ended early where all enter."""
    if own.n != arm.counted:
        return f"{own.n} of {text.runs(arm.counted)}"
    return text.runs(own.n) + (f", {arm.cut_short} of which ended early" if arm.cut_short else "")


def _inside(measure: Measure) -> str:
    """The label as it stands inside a sentence."""
    return measure.label if measure.label.startswith("KL") else measure.label[:1].lower() + measure.label[1:]
