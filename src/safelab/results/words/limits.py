"""What the runs cannot say, and what was odd about them: the honest half of a verdict."""

from collections.abc import Mapping, Sequence

from safelab.results import text
from safelab.results.model import ArmRow, Comparison, CrashComparison, Measure, Ranking
from safelab.results.runs.config import uneven
from safelab.results.runs.load import RunSet
from safelab.results.words.verdict import INDICATIVE_BELOW, SIGNIFICANT

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
) -> list[str]:
    """What cannot be concluded, in sentences."""
    rows = [row for row in comparisons if row.measure == measure.key]
    return [*_few(arms, rows), *_no_crash(arms, crashes), *_unequal_kl(arms), *_policy(rankings, measure)]


def notes(loaded: RunSet, same_constants: bool) -> list[str]:
    """Every run that is not whole, and every way in which runs are not comparable."""
    runs = loaded.runs
    said = [f"Unreadable run, left out: {message}" for message in loaded.unreadable]
    named = [f"{run.arm}, seed {run.seed}: {run.note}" for run in runs if run.note]
    said += _cut(named)
    damaged = [f"{r.arm}, seed {r.seed}: {_damage(r.record.damaged)}" for r in runs if r.record.damaged]
    said += _cut(damaged)
    odd = [f"{r.arm}, seed {r.seed}: {_odd(r.record.non_finite)}" for r in runs if r.record.non_finite]
    said += _cut(odd)
    if len(planned := sorted({run.record.info.updates for run in runs if run.counted})) > 1:
        said.append(f"Runs of different length are mixed ({text.listed([str(n) for n in planned])} planned updates).")
    if not same_constants:
        said.append("The runs had different constants in their crash definitions; those of the first are printed.")
    for arm, keys in uneven(loaded).items():
        said.append(f"Runs of {arm} differ among themselves in {text.listed(keys, LISTED)}: they are no repetitions.")
    if len(commits := {run.record.info.git_commit for run in runs if run.record.info.git_commit}) > 1:
        said.append(f"The runs come from {len(commits)} different commits of the code.")
    return said


def _few(arms: Sequence[ArmRow], rows: Sequence[Comparison]) -> list[str]:
    pairs = [row.difference.n for row in rows]
    said = []
    if single := [arm.name for arm in arms if arm.counted == 1]:
        said.append(f"A single run of {text.listed(single)}: no interval, and nothing on other seeds.")
    if pairs and 1 < min(pairs) < INDICATIVE_BELOW:
        floor = next(row.p_floor for row in rows if row.difference.n == min(pairs))
        said.append(
            f"With {min(pairs)} paired seeds no difference, however large, gets a sign-flip p below {floor:g}: "
            "the differences are indicative. Intervals rest on a normal distribution over seeds."
        )
    return said


def _no_crash(arms: Sequence[ArmRow], crashes: Sequence[CrashComparison]) -> list[str]:
    rates = [rate for arm in arms if (rate := arm.crashed.get("crash/reward")) is not None]
    clean = [rate for rate in rates if rate.k == 0 and rate.n > 0]
    said = []
    if clean:
        least = min(clean, key=lambda rate: rate.n)
        said.append(
            f"No crash in {least.n} run{'s' * (least.n > 1)} still allows a true crash rate of up to "
            f"{100 * (least.high or 0):.1f} % (95 % Clopper-Pearson)."
        )
    floors = [row.p_floor for row in crashes if row.kind == "crash/reward" and row.p_floor is not None]
    if floors and max(floors) >= SIGNIFICANT:
        said.append(
            f"No difference in crash rates can be significant with so few runs: "
            f"Fisher's exact test gives p = {max(floors):.2g} at best."
        )
    return said


def _unequal_kl(arms: Sequence[ArmRow]) -> list[str]:
    levels = [(kl, arm.name) for arm in arms if (kl := arm.estimates["kl_final"].mean) is not None and kl > 0]
    if len(levels) < 2 or max(levels)[0] < KL_APART * min(levels)[0]:
        return []
    (low, near), (high, far) = min(levels), max(levels)
    return [
        f"The arms end at different KL, from {text.number(low, 2)} ({near}) to {text.number(high, 2)} ({far}) nats per "
        "token: a difference in reward is not one at equal KL, which has a table of its own below."
    ]


def _policy(rankings: Sequence[Ranking], measure: Measure) -> list[str]:
    orders = {tuple(row.arms) for row in rankings}
    if len(orders) < 2:
        return []
    shown = "; ".join(f"{row.policy}: {' > '.join(_first(row.arms))}" for row in rankings)
    return [f"The ranking in {measure.label.lower()} depends on what a crashed run counts for ({shown})."]


def _first(arms: Sequence[str]) -> list[str]:
    """The head of a ranking, which is what a reader compares."""
    return list(arms) if len(arms) <= RANKED else [*arms[:RANKED], "…"]


def _damage(damaged: Sequence[object]) -> str:
    first = damaged[0]
    where = f"{getattr(first, 'file', '')} line {getattr(first, 'line', 0)}, {getattr(first, 'reason', '')}"
    return f"{len(damaged)} damaged line{'s' * (len(damaged) > 1)} skipped (first: {where})"


def _odd(non_finite: Mapping[str, int]) -> str:
    shown = [f"{name} ({count})" for name, count in non_finite.items()]
    return f"values that are not finite in {text.listed(shown, LISTED)}"


def _cut(items: list[str]) -> list[str]:
    return items if len(items) <= LISTED else [*items[:LISTED], f"and {len(items) - LISTED} more like these"]
