"""What became of the runs, for the verdict: which did not finish, and which ended themselves."""

from collections.abc import Mapping, Sequence

from safelab.results import text
from safelab.results.model import ArmRow, CrashPolicy, Measure, Ranking

ENDINGS = 2
"""Ways in which the unfinished runs of one arm ended that are spelt out."""

NAMED = 3
"""Arms whose means under each crash policy are spelt out."""

COUNT_AS: Mapping[CrashPolicy, str] = {
    "last_value": "the updates that they lack count as their last values in means and final values",
    "floor": "in the updates that they lack their rewards count as the least of any run",
    "exclude": "they are left out of the averages",
}
"""What each crash policy makes of runs that diverged."""


def unfinished_said(arms: Sequence[ArmRow], counted: bool) -> list[str]:
    """The arms with runs that did not finish, how many of how many, and why they ended: one sentence."""
    parts = [
        f"{arm.unfinished} of {text.runs(arm.started)} of {arm.name} ({_why(arm)})" for arm in arms if arm.unfinished
    ]
    if not parts:
        return []
    if counted:
        return [
            "Counted although they did not finish, as --include-unfinished asks, the updates that they lack with their "
            f"last values: {text.listed(parts)}."
        ]
    return [f"Left out, because they did not finish: {text.listed(parts)}."]


def _why(arm: ArmRow) -> str:
    """The most frequent endings, each with its number where there are several."""
    shown = list(arm.ended.items())[:ENDINGS]
    alone = len(arm.ended) == 1
    parts = [how if alone else f"{count} {how}" for how, count in shown]
    if more := arm.unfinished - sum(count for _, count in shown):
        parts.append(f"{more} otherwise")
    return "; ".join(parts)


def diverged_said(
    arms: Sequence[ArmRow], rankings: Sequence[Ranking], policy: CrashPolicy, measure: Measure
) -> list[str]:
    """The arms with runs that diverged or that a guard ended, and what their means would be counted otherwise.

    Leaving such runs out would flatter an arm by its survivors, and their last values may flatter it, too: so all the
    ways of counting them stand beside one another.
    """
    ended = [arm for arm in arms if arm.diverged.k]
    if not ended:
        return []
    who = text.listed([f"{arm.diverged.k} of {text.runs(arm.diverged.n)} of {arm.name}" for arm in ended])
    said = f"Diverged, or ended by a guard: {who}. That is a result, and counts as one; {COUNT_AS[policy]}"
    means: dict[CrashPolicy, Mapping[str, float | None]] = {
        row.policy: dict(zip(row.arms, row.means, strict=True)) for row in rankings
    }
    ways = [f"{arm.name} {_ways(arm, means, measure)}" for arm in ended[:NAMED] if arm.counted]
    return [f"{said} ({measure.label.lower()} by --crash-policy: {'; '.join(ways)})." if ways else f"{said}."]


def _ways(arm: ArmRow, means: Mapping[CrashPolicy, Mapping[str, float | None]], measure: Measure) -> str:
    """``last_value 0.62, floor 0.41, exclude 0.70``."""
    return ", ".join(f"{way} {text.number(found.get(arm.name), measure.digits)}" for way, found in means.items())
