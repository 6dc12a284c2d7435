"""The result in words: what differs, by how much, how sure that is."""

from collections.abc import Sequence

from safelab.results import text
from safelab.results.model import ArmRow, BudgetRow, Comparison, Estimate, Measure

INDICATIVE_BELOW = 5
"""Pairs below which a comparison only indicates."""

SIGNIFICANT = 0.05
ALIKE = 1.1
"""Ratio of deviations up to which two arms vary alike."""
NAMED = 6
"""Most arms that get a sentence of their own."""


def verdict(
    arms: Sequence[ArmRow],
    comparisons: Sequence[Comparison],
    baseline: str,
    measures: Sequence[Measure],
    equal_kl: Sequence[BudgetRow] = (),
) -> list[str]:
    """Sentences, the most important first: primary measure, crashes, gold score, equal KL, steadiness."""
    base = next(arm for arm in arms if arm.name == baseline)
    if not any(arm.counted for arm in arms):
        return ["No run has finished yet: there are curves to look at, and no numbers to compare."]
    rows = [row for row in comparisons if row.measure == measures[0].key]
    return [
        *_primary(arms, base, rows, measures[0]),
        *_crashes(arms),
        *_gold(arms, measures),
        *_equal_kl(equal_kl, baseline),
        *_steadiness(arms, base, measures),
    ]


def _primary(arms: Sequence[ArmRow], base: ArmRow, rows: Sequence[Comparison], measure: Measure) -> list[str]:
    """The headline, and a sentence for each arm, the largest difference first."""
    by_name = {arm.name: arm for arm in arms}
    known = [row for row in rows if row.difference.mean is not None]
    order = sorted(known, key=lambda row: -abs(row.difference.mean or 0.0))
    said = [_headline(base, order, measure), *(_against(by_name[row.arm], base, row, measure) for row in order[:NAMED])]
    if len(order) > NAMED:
        said.append(f"{len(order) - NAMED} further arms differ less; they are in the table.")
    return said


def _headline(base: ArmRow, rows: Sequence[Comparison], measure: Measure) -> str:
    """Which arms are above, which below, which not told apart: one sentence."""
    level = f"{base.name} ({text.estimate(base.estimates[measure.key], measure)}, {_runs(base)})"
    if not rows:
        return f"In {_inside(measure)}, {level} stands alone: there is no other arm to compare it with."
    groups = {way: [row.arm for row in rows if _way(row) == way] for way in ("above", "below")}
    clear = [f"{text.listed(names)} {_is(names)} {way}" for way, names in groups.items() if names]
    unclear = [row.arm for row in rows if _way(row) == ""]
    if not clear:
        return f"In {_inside(measure)}, {text.listed(unclear)} cannot be told apart from {level}."
    rest = f"; {text.listed(unclear)} cannot be told apart from it" if unclear else ""
    return f"In {_inside(measure)}, {' and '.join(clear)} {level}{rest}.{_confirmed(rows)}"


def _confirmed(rows: Sequence[Comparison]) -> str:
    """Which of the intervals without zero the test corrected over all arms bears out, where it could bear out any."""
    apart = [row for row in rows if _way(row) and row.difference.n >= INDICATIVE_BELOW]
    borne_out = [row.arm for row in apart if row.p_holm is not None and row.p_holm < SIGNIFICANT]
    if len(borne_out) == len(apart):
        return ""
    if not borne_out:
        return " The test corrected over all arms confirms none of these differences."
    return f" The test corrected over all arms confirms {text.listed(borne_out)}."


def _is(names: Sequence[str]) -> str:
    return "lies" if len(names) == 1 else "lie"


def _way(row: Comparison) -> str:
    """``above`` or ``below`` where the interval of the difference leaves out zero, else nothing."""
    return _side(row.difference)


def _side(difference: Estimate) -> str:
    low, high = difference.low, difference.high
    if low is None or high is None:
        return ""
    return "above" if low > 0 else "below" if high < 0 else ""


def _against(arm: ArmRow, base: ArmRow, row: Comparison, measure: Measure) -> str:
    """One arm's sentence: size, direction, and how far it can be trusted."""
    gap = row.difference
    assert gap.mean is not None
    level = text.number(arm.estimates[measure.key].mean, measure.digits)
    if gap.n == 1:
        size = text.number(gap.mean, measure.digits, signed=True)
        return f"{arm.name}: {level}, {size} against {base.name} on the one seed that both have; no interval."
    return f"{arm.name}: {level}, {text.estimate(gap, measure, signed=True)} against {base.name}; {_sureness(row)}."


def _sureness(row: Comparison) -> str:
    gap, apart = row.difference, bool(_way(row))
    if gap.n < INDICATIVE_BELOW:
        return "indicative, the interval leaves out zero" if apart else "not told apart"
    tests = f"sign-flip {text.p_value(row.p)}, corrected {text.p_value(row.p_holm)}, {gap.n} pairs"
    if row.p_holm is not None and row.p_holm < SIGNIFICANT and apart:
        reading = "a clear difference"
    elif apart:
        reading = "the interval leaves out zero, the corrected test does not confirm it"
    else:
        reading = "not told apart"
    return f"{reading} ({tests})"


def _crashes(arms: Sequence[ArmRow]) -> list[str]:
    known = [arm for arm in arms if arm.counted and "crash/reward" in arm.crashed]
    if not known:
        return []
    worst_first = sorted((arm for arm in known if _k(arm, "reward")), key=lambda arm: -_k(arm, "reward"))
    fallen = [f"{arm.name} in {text.crashed(arm.crashed['crash/reward'])} runs" for arm in worst_first]
    whole = [arm.name for arm in known if not _k(arm, "reward")]
    said = f"Reward crashed for {text.listed(fallen)}" if fallen else "No run had a reward crash"
    rest = f"; not for {text.listed(whole)}" if fallen and whole else ""
    return [f"{said}{rest}."]


def _gold(arms: Sequence[ArmRow], measures: Sequence[Measure]) -> list[str]:
    """Where there is a gold score: who is best in it, and whose reward has parted from it."""
    measure = next(m for m in measures if m.key == "gold_final")
    scored = [(mean, arm) for arm in arms if (mean := arm.estimates["gold_final"].mean) is not None]
    if not scored:
        return []
    scored.sort(key=lambda pair: -pair[0])
    said = []
    if len(scored) > 1:
        (best, first), (worst, last) = scored[0], scored[-1]
        levels = f"{first.name} ends highest ({text.number(best, measure.digits)}) and {last.name} lowest"
        said.append(f"By the gold score, which no arm optimises, {levels} ({text.number(worst, measure.digits)}).")
    worst_first = sorted((arm for _, arm in scored if _k(arm, "hacking")), key=lambda arm: -_k(arm, "hacking"))
    hacked = [f"{arm.name} in {text.crashed(arm.crashed['crash/hacking'])} runs" for arm in worst_first]
    if hacked:
        said.append(
            f"The reward stayed up while the gold score fell (reward hacking) for {text.listed(hacked)}: "
            "there a high reward is no sign of quality."
        )
    return said


def _equal_kl(rows: Sequence[BudgetRow], baseline: str) -> list[str]:
    """Who has more and who less, had training stopped at the middle one of the budgets."""
    levels = sorted({row.kl for row in rows})
    if not levels:
        return []
    middle = levels[len(levels) // 2]
    against = [row for row in rows if row.kl == middle and row.reward_difference.n > 1]
    said = []
    for name, differences in (
        ("reward", [(row.arm, row.reward_difference) for row in against]),
        ("gold score", [(row.arm, row.gold_difference) for row in against if row.gold_difference.n > 1]),
    ):
        sides = {way: [pair for pair in differences if _side(pair[1]) == way] for way in ("above", "below")}
        ordered = {way: sorted(pairs, key=lambda pair: -abs(pair[1].mean or 0.0)) for way, pairs in sides.items()}
        shown = [
            f"{text.listed([f'{arm} ({text.number(gap.mean, 2, signed=True)})' for arm, gap in pairs])} "
            f"{_is([arm for arm, _ in pairs])} {way}"
            for way, pairs in ordered.items()
            if pairs
        ]
        if differences:
            said.append(f"in {name}, {' and '.join(shown) if shown else 'no arm can be told apart from'} {baseline}")
    if not said:
        return []
    stopped = f"with each run stopped where its reward is best within {text.number(middle, 2)} nats per token"
    return [f"At equal KL, {stopped}: {'; '.join(said)} (95 % intervals, not corrected)."]


def _steadiness(arms: Sequence[ArmRow], base: ArmRow, measures: Sequence[Measure]) -> list[str]:
    """How many times steadier or less steady than the baseline, around the rolling mean."""
    measure = next(m for m in measures if m.key == "reward_sd_rolling")
    own = base.estimates[measure.key].mean
    if not own:
        return []
    others = [(arm, mean) for arm in arms if arm is not base and (mean := arm.estimates[measure.key].mean)]
    if not others:
        return []
    near = [arm.name for arm, mean in others if 1 / ALIKE < mean / own < ALIKE]
    far = sorted((mean / own, arm.name) for arm, mean in others if arm.name not in near)
    shown = [f"{name} {text.number(ratio * own, measure.digits)} ({_times(ratio)})" for ratio, name in far]
    rest = f"all {len(others)} others" if not far else f"the {len(near)} others"
    alike = f"{rest if len(near) > 1 else ''.join(near)} within {100 * (ALIKE - 1):.0f} % of that"
    parts = [*shown[:NAMED], *([alike] if near else [])]
    level = text.number(own, measure.digits)
    own_part = f"reward varies around its rolling mean by {level} in {base.name}"
    return [f"From update to update, {own_part}; {text.listed(parts, NAMED + 1)}."]


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times that" if ratio >= 1 else f"{1 / ratio:.1f} times less"


def _k(arm: ArmRow, kind: str) -> int:
    found = arm.crashed.get(f"crash/{kind}")
    return 0 if found is None else found.k


def _runs(arm: ArmRow) -> str:
    return "1 run" if arm.counted == 1 else f"{arm.counted} runs"


def _inside(measure: Measure) -> str:
    """The label as it stands inside a sentence."""
    return measure.label if measure.label.startswith("KL") else measure.label[:1].lower() + measure.label[1:]
