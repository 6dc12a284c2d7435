"""What the runs cannot say, and what was odd about them: the honest half of a verdict."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from safelab.results import text
from safelab.results.model import (
    ArmRow,
    BudgetRow,
    Comparison,
    CrashComparison,
    Measure,
    Ranking,
)
from safelab.results.runs.config import uneven
from safelab.results.runs.curves import HIGHEST
from safelab.results.runs.evaluated import evaluations_said
from safelab.results.runs.load import RunSet
from safelab.results.words.sides import SIGNIFICANT
from safelab.runlog.frame_cache import Damage

LISTED = 12
"""Most items of one kind that are spelt out."""

RANKED = 5
"""Arms of a ranking that are spelt out in a sentence; the table has them all."""

KL_APART = 1.5
"""Ratio of final KL between arms beyond which their rewards are not at comparable cost."""


def limits(
    arms: Sequence[ArmRow],
    comparisons: Sequence[Comparison],
    crashes: Sequence[CrashComparison],
    rankings: Sequence[Ranking],
    measure: Measure,
    equal_kl: Sequence[BudgetRow] = (),
) -> list[str]:
    """What cannot be concluded, in sentences."""
    rows = [row for row in comparisons if row.measure == measure.key]
    return [
        *_few(arms, rows),
        *_no_crash(arms, crashes),
        *_unequal_kl(arms, equal_kl),
        *_policy(rankings, measure),
    ]


def notes(loaded: RunSet, same_constants: bool) -> list[str]:
    """Every run that is not whole, and every way in which runs are not comparable."""
    runs = loaded.runs
    unreadable = [f"Unreadable run, left out: {message}" for message in loaded.unreadable]
    said = _cut(unreadable)
    if len(unreadable) > 1:
        said.insert(0, f"{len(unreadable)} runs cannot be read, and are left out.")
    named = [f"{run.arm}, seed {run.seed}: {run.note}" for run in runs if run.note]
    said += _cut(named)
    damaged = [f"{r.arm}, seed {r.seed}: {_damage(r.record.damaged)}" for r in runs if r.record.damaged]
    said += _cut(damaged)
    odd = [f"{r.arm}, seed {r.seed}: {_odd(r.record.non_finite)}" for r in runs if r.record.non_finite]
    said += _cut(odd)
    if huge := [f"{r.arm}, seed {r.seed}" for r in runs if _is_huge(r.record.metrics)]:
        said.append(f"Values beyond {HIGHEST:g} either way are left out of the curves ({text.listed(huge, LISTED)}).")
    if len(planned := sorted({run.record.info.updates for run in runs if run.counted})) > 1:
        said.append(f"Runs of different length are mixed ({text.listed([str(n) for n in planned])} planned updates).")
    if not same_constants:
        said.append("The runs had different constants in their crash definitions; those of the first are printed.")
    said += [f"{line}." for line in evaluations_said({f"{r.arm}, seed {r.seed}": r.record for r in runs if r.counted})]
    for arm, keys in uneven(loaded).items():
        said.append(f"Runs of {arm} differ among themselves in {text.listed(keys, LISTED)}: they are no repetitions.")
    if len(commits := {run.record.info.git_commit for run in runs if run.record.info.git_commit}) > 1:
        said.append(f"The runs come from {len(commits)} different commits of the code.")
    return said


def _few(arms: Sequence[ArmRow], rows: Sequence[Comparison]) -> list[str]:
    """A single run, a single pair, and numbers of pairs at which the sign-flip test can reach nothing."""
    said = []
    if single := [arm.name for arm in arms if arm.counted == 1]:
        said.append(f"A single run of {text.listed(single)}: no interval, and nothing on other seeds.")
    if pair := [row.arm for row in rows if row.difference.n == 1 and row.arm not in single]:
        said.append(f"A single pair of {text.listed(pair)}: no interval, and nothing on other seeds.")
    out_of_reach = [row for row in rows if row.p_floor is not None and row.p_floor >= SIGNIFICANT]
    for n in sorted({row.difference.n for row in out_of_reach}):
        there = [row for row in out_of_reach if row.difference.n == n]
        whose = f" of {text.listed([row.arm for row in there])}" if len(there) < len(rows) else ""
        said.append(
            f"With {n} paired seeds no difference{whose}, however large, gets a sign-flip p below "
            f"{there[0].p_floor:g}: the differences are indicative. Intervals rest on a normal distribution over seeds."
        )
    return said


def _no_crash(arms: Sequence[ArmRow], crashes: Sequence[CrashComparison]) -> list[str]:
    rates = [(rate, arm.name) for arm in arms if (rate := arm.crashed.get("crash/reward")) is not None]
    clean = [(rate, name) for rate, name in rates if rate.k == 0 and rate.n > 0]
    said = []
    if clean:
        least = min(rate.n for rate, _ in clean)
        names = [name for rate, name in clean if rate.n == least]
        high = next(rate.high for rate, _ in clean if rate.n == least)
        said.append(
            f"No reward crash in {text.runs(least)} of {text.listed(names)} still allows a true crash rate of up to "
            f"{100 * (1.0 if high is None else high):.1f} % (95 % Clopper-Pearson)."
        )
    compared = [(row, floor) for row in crashes if row.kind == "crash/reward" and (floor := row.p_floor) is not None]
    hopeless = [(row, floor) for row, floor in compared if floor >= SIGNIFICANT]
    if hopeless:
        which = "" if len(hopeless) == len(compared) else f" of {text.listed([row.arm for row, _ in hopeless])}"
        said.append(
            f"No difference in reward-crash rates{which} can be significant with so few runs: "
            f"Fisher's exact test gives p = {min(floor for _, floor in hopeless):.2g} at best."
        )
    return said


def _unequal_kl(arms: Sequence[ArmRow], equal_kl: Sequence[BudgetRow]) -> list[str]:
    levels = [
        (kl, arm.name)
        for arm in arms
        if (kl := arm.estimates["kl_final"].mean) is not None and math.isfinite(kl) and kl >= 0
    ]
    if len(levels) < 2 or max(levels)[0] <= KL_APART * min(levels)[0]:
        return []
    (low, near), (high, far) = min(levels), max(levels)
    digits = text.telling(high, digits=2)
    table = ", which has a table of its own below" if equal_kl else ""
    return [
        f"The arms end at different KL, from {text.spelt(low, digits, signed=False)} ({near}) to "
        f"{text.spelt(high, digits, signed=False)} ({far}) nats per token: a difference in reward is not one at equal "
        f"KL{table}."
    ]


def _policy(rankings: Sequence[Ranking], measure: Measure) -> list[str]:
    """Whether the order hangs on what a crashed run counts for; from the first place on at which it does."""
    orders = {
        row.policy: [a for a, mean in zip(row.arms, row.means, strict=True) if mean is not None] for row in rankings
    }
    if len({tuple(order) for order in orders.values()}) < 2:
        return []
    first = next(
        place
        for place in range(max(map(len, orders.values())))
        if len({tuple(o[: place + 1]) for o in orders.values()}) > 1
    )
    start = first if first >= RANKED else 0
    shown = "; ".join(f"{policy}: {_places(order[start:])}" for policy, order in orders.items())
    way = f"{'best' if measure.better else 'highest'} first" + (f", from place {start + 1} on" if start else "")
    name = measure.label if measure.label.startswith("KL") else measure.label[:1].lower() + measure.label[1:]
    return [f"The ranking in {name} depends on what a crashed run counts for ({way}; {shown})."]


def _places(arms: Sequence[str]) -> str:
    """The head of a ranking, which is what a reader compares."""
    head = [*arms[:RANKED], *(["…"] if len(arms) > RANKED else [])]
    return ", ".join(head) if head else "no arm is left"


def _damage(damaged: Sequence[Damage]) -> str:
    """How many things could not be read, and the first of them."""
    first = damaged[0]
    place = f"{first.file} line {first.line}" if first.line else first.file
    lines = sum(damage.line > 0 for damage in damaged)
    parts = [f"{lines} damaged line{'s' * (lines > 1)} skipped"] if lines else []
    if whole := len(damaged) - lines:
        parts.append(f"{whole} file{'s' * (whole > 1)} or metric{'s' * (whole > 1)} damaged")
    return f"{' and '.join(parts)} (first: {place}, {first.reason})"


def _odd(non_finite: Mapping[str, int]) -> str:
    shown = [f"{name} ({count})" for name, count in non_finite.items()]
    return f"values that are not finite in {text.listed(shown, LISTED)}"


def _is_huge(frame: pd.DataFrame) -> bool:
    """Whether a metric has finite values that no picture can hold."""
    numbers = frame.select_dtypes("number").to_numpy(dtype=np.float64)
    return bool((np.isfinite(numbers) & (np.abs(numbers) > HIGHEST)).any())


def _cut(items: list[str]) -> list[str]:
    return items if len(items) <= LISTED else [*items[:LISTED], f"and {len(items) - LISTED} more like these"]
