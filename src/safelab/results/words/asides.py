"""The verdict's further sentences: crashes, gold score, equal KL, steadiness."""

import math
from collections.abc import Sequence

from safelab.results import text
from safelab.results.estimates import Estimate
from safelab.results.model import ArmRow, BudgetRow, Levels, Measure
from safelab.results.words.sides import is_or_are, side

ALIKE = 1.1
"""Ratio of deviations up to which two arms vary alike."""
NAMED = 6
"""Most arms whose steadiness is spelt out."""


def crashes_said(arms: Sequence[ArmRow]) -> list[str]:
    """Whose reward crashed, whose did not, and who did not look."""
    counted = [arm for arm in arms if arm.counted]
    known = [arm for arm in counted if "crash/reward" in arm.crashed]
    if not known:
        return []
    fallen = _by_kind(known, "reward")
    whole = [arm.name for arm in known if not _k(arm, "reward")]
    said = f"Reward crashed for {fallen}" if fallen else "No run had a reward crash"
    rest = f"; not for {text.listed(whole)}" if fallen and whole else ""
    blind = [arm.name for arm in counted if arm not in known]
    unlooked = f"; {text.listed(blind)} did not look for any" if blind else ""
    return [f"{said}{rest}{unlooked}."]


def gold_said(arms: Sequence[ArmRow], gold: Levels | None, measures: Sequence[Measure]) -> list[str]:
    """Where there is a gold score: who is best in it, and whose reward has parted from it."""
    measure = next(m for m in measures if m.key == "gold_final")
    said = _order(gold, measure) if gold is not None and len(gold.arms) > 1 else []
    if hacked := _by_kind([arm for arm in arms if arm.counted], "hacking"):
        said.append(
            f"The reward stayed up while the gold score fell (reward hacking) for {hacked}: "
            "there a high reward is no sign of quality."
        )
    return said


def _order(gold: Levels, measure: Measure) -> list[str]:
    """Highest and lowest over the same seeds; arms that are printed alike are not ranked."""
    beginning = "By the gold score"
    lacking = (
        f"; {text.listed(gold.without)} {'has' if len(gold.without) == 1 else 'have'} none" if gold.without else ""
    )
    if not gold.seeds:
        return [f"{beginning}, the arms cannot be ranked: they have no seed in common{lacking}."]
    shown = {arm: text.number(mean, measure.digits) for arm, mean in zip(gold.arms, gold.means, strict=True)}
    best, worst = shown[gold.arms[0]], shown[gold.arms[-1]]
    n = len(gold.seeds)
    where = f"over the {n} seeds that all of them have" if n > 1 else "on the one seed that all of them have"
    if best == worst:
        return [f"{beginning}, all of {text.listed(gold.arms)} end alike ({best}), {where}{lacking}."]
    first = [arm for arm in gold.arms if shown[arm] == best]
    last = [arm for arm in gold.arms if shown[arm] == worst]
    ends = "ends" if len(first) == 1 else "end"
    return [
        f"{beginning}, {text.listed(first)} {ends} highest ({best}) and {text.listed(last)} lowest ({worst}), "
        f"{where}{lacking}."
    ]


def equal_kl_said(rows: Sequence[BudgetRow], baseline: str) -> list[str]:
    """Who has more and who less, had training stopped at the middle one of the budgets."""
    levels = sorted({row.kl for row in rows})
    if not levels:
        return []
    middle = levels[len(levels) // 2]
    against = [row for row in rows if row.kl == middle and row.arm != baseline]
    said = [
        part
        for name, differences in (
            ("reward", [(row.arm, row.reward_difference) for row in against]),
            ("gold score", [(row.arm, row.gold_difference) for row in against]),
        )
        if (part := _sides(name, [pair for pair in differences if pair[1].low is not None], baseline))
    ]
    if not said:
        return []
    stopped = f"with each run stopped where its reward is best within {text.clear(middle, 2)} nats per token"
    return [f"At equal KL, {stopped}: {'; '.join(said)} (95 % intervals, not corrected)."]


def _sides(name: str, differences: Sequence[tuple[str, Estimate]], baseline: str) -> str:
    """``in reward, a (+0.30) lies above ppo``; nothing where no arm has an interval."""
    if not differences:
        return ""
    shown = []
    for way in ("above", "below"):
        there = sorted((pair for pair in differences if side(pair[1]) == way), key=lambda pair: -abs(pair[1].mean or 0))
        names = [f"{arm} ({text.clear(gap.mean, 2, signed=True)})" for arm, gap in there]
        if names:
            shown.append(f"{text.listed(names)} {is_or_are(names)} {way}")
    unclear = [arm for arm, gap in differences if not side(gap)]
    if not shown:
        return f"in {name}, no arm can be told apart from {baseline}"
    rest = f" ({text.listed(unclear)} cannot be told apart from it)" if unclear else ""
    return f"in {name}, {' and '.join(shown)} {baseline}{rest}"


ROUNDING = 1e-12
"""Of the reward's size: a deviation below it is what rounding leaves of none."""


def steadiness_said(arms: Sequence[ArmRow], base: ArmRow, measures: Sequence[Measure]) -> list[str]:
    """How many times steadier or less steady than the baseline, around the rolling mean."""
    measure = next(m for m in measures if m.key == "reward_sd_rolling")
    own = _finite(base, measure)
    others = [(arm, mean) for arm in arms if arm is not base and (mean := _finite(arm, measure)) is not None]
    if own is None or not others:
        return []
    near = [arm for arm, mean in others if mean == own or (own > 0 and 1 / ALIKE < mean / own < ALIKE)]
    far = [(arm, mean) for arm, mean in others if arm not in near]
    far.sort(key=lambda pair: -_apart(pair[1], own))
    shown = [
        f"{arm.name} {text.clear(mean, measure.digits)}{_remark(mean, own, arm)}"
        for arm, mean in sorted(far[:NAMED], key=lambda pair: pair[1])
    ]
    parts = list(shown)
    if more := len(far) - len(shown):
        parts.append(f"{more} further arm{'s' * (more > 1)} more than {100 * (ALIKE - 1):.0f} % off it")
    if near:
        every = not far and len(others) == len(arms) - 1
        count = "both" if every and len(near) == 2 else f"{'all' if every else 'the'} {len(near)}"
        names = near[0].name if len(near) == 1 else f"{count} others"
        parts.append(f"{names} within {100 * (ALIKE - 1):.0f} % of that")
    level = f"{text.clear(own, measure.digits)} in {base.name}{_early(base)}"
    return [
        f"From update to update, reward varies around its rolling mean by {level}; {text.listed(parts, NAMED + 2)}."
    ]


def _finite(arm: ArmRow, measure: Measure) -> float | None:
    mean, size = arm.estimates[measure.key].mean, arm.estimates["reward_mean"].mean
    if mean is None or not math.isfinite(mean):
        return None
    return 0.0 if size is not None and mean < ROUNDING * abs(size) else mean


def _apart(mean: float, own: float) -> float:
    """How far two deviations are apart as a ratio, to order by."""
    return abs(math.log(mean) - math.log(own)) if mean > 0 and own > 0 else math.inf


def _remark(mean: float, own: float, arm: ArmRow) -> str:
    """``(2.0 times less)``: a ratio where there is one, and how many of the runs ended early."""
    remarks = []
    if mean > 0 and own > 0 and math.isfinite(ratio := mean / own) and ratio > 0 and math.isfinite(1 / ratio):
        times = f"{text.number(ratio, 1)} times that" if ratio >= 1 else f"{text.number(1 / ratio, 1)} times less"
        remarks.append(times)
    if arm.cut_short:
        remarks.append(f"{arm.cut_short} of its {text.runs(arm.counted)} ended early")
    return f" ({', '.join(remarks)})" if remarks else ""


def _early(arm: ArmRow) -> str:
    return f" ({arm.cut_short} of its {text.runs(arm.counted)} ended early)" if arm.cut_short else ""


def _by_kind(arms: Sequence[ArmRow], kind: str) -> str:
    """``a in 3 of 8 runs and b in 1 of 8 runs``, the most first; nothing where none had one."""
    worst_first = sorted((arm for arm in arms if _k(arm, kind)), key=lambda arm: -_k(arm, kind))
    return text.listed([f"{arm.name} in {_of(arm, kind)}" for arm in worst_first])


def _of(arm: ArmRow, kind: str) -> str:
    found = arm.crashed[f"crash/{kind}"]
    return f"{found.k} of {text.runs(found.n)}"


def _k(arm: ArmRow, kind: str) -> int:
    found = arm.crashed.get(f"crash/{kind}")
    return 0 if found is None else found.k
