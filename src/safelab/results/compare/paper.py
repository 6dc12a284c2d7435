"""``--paper safe``: the published figures of SAFE beside the same quantities of these runs, and what can be compared.

Ref: arXiv 2602.04651 (abstract: rewards and gain); variance and overhead are from public summaries of it. Its own
definitions of variance and of a crash are not known, so ours stand beside them.
"""

import math
from collections.abc import Sequence

from safelab.errors import DataError, nearest
from safelab.results import text
from safelab.results.compare.against_baseline import LARGEST_LOG, log_ratios, percent
from safelab.results.compare.aggregate import Values
from safelab.results.compare.statistics import estimate
from safelab.results.model import ArmRow, PaperRow

PAIRS = (("safe_released", "ppo_released"), ("safe", "ppo_matched"), ("safe", "ppo"))
"""SAFE and the PPO it is held against: as released, at its fairest, and the usual baseline."""

PAPERS = ("safe",)


def beside_paper(paper: str | None, arms: Sequence[ArmRow], values: Values) -> list[PaperRow]:
    """A row for each published figure and each of ``PAIRS`` that the runs hold; nothing where no paper was asked for.

    Raises:
        DataError: no such paper, or none of the pairs is among the arms.
    """
    if paper is None:
        return []
    if paper not in PAPERS:
        raise DataError(f"--paper must be a paper that is known here, got {paper!r}; {nearest(paper, PAPERS)}")
    by_name = {arm.name: arm for arm in arms}
    there = [pair for pair in PAIRS if all(name in by_name and by_name[name].counted for name in pair)]
    if not there:
        wanted = ", or ".join(" and ".join(pair) for pair in PAIRS)
        raise DataError(f"--paper safe needs the arms {wanted}; got {', '.join(by_name)}")
    return [row for safe, ppo in there for row in _rows(by_name[safe], by_name[ppo], values)]


def _rows(safe: ArmRow, ppo: ArmRow, values: Values) -> list[PaperRow]:
    """Published, here, and how far the two speak of the same."""
    left, right = values[safe.name], values[ppo.name]
    other_scale = "another model, reward model and scale: only the direction compares"
    rewards = [(safe, "0.725"), (ppo, "0.689")]
    return [
        *(
            PaperRow(
                pair=f"{safe.name} against {ppo.name}",
                quantity=f"training-average reward of {'SAFE' if arm is safe else 'PPO'}",
                published=published,
                here=_level(arm),
                comparable=other_scale,
            )
            for arm, published in rewards
        ),
        PaperRow(
            pair=f"{safe.name} against {ppo.name}",
            quantity="gain in training-average reward",
            published="+5.15 %",
            here=_percent(log_ratios(left, right, "reward_mean")),
            comparable="direction; the published gain comes without an interval",
        ),
        PaperRow(
            pair=f"{safe.name} against {ppo.name}",
            quantity="reward variance, PPO's over SAFE's",
            published="2.8 times",
            here=_times([2 * ratio for ratio in log_ratios(right, left, "reward_sd_rolling")]),
            comparable="roughly: ours is the variance around a centred rolling mean; theirs is not defined",
        ),
        PaperRow(
            pair=f"{safe.name} against {ppo.name}",
            quantity="reward crashes",
            published="none for SAFE",
            here=f"{safe.name} {_crashes(safe)}, {ppo.name} {_crashes(ppo)}",
            comparable="roughly: the published definition is not known, ours is below",
        ),
        PaperRow(
            pair=f"{safe.name} against {ppo.name}",
            quantity="overhead in time per update",
            published="1.4 %",
            here=_percent(log_ratios(left, right, "update_s")),
            comparable="no: runs side by side on a shared machine; a benchmark measures it",
        ),
    ]


def _percent(ratios: Sequence[float]) -> str:
    found = percent(ratios)
    if found.mean is None:
        return text.NOTHING
    bounds = text.interval(found.low, found.high, 1, signed=True)
    return f"{text.number(found.mean, 1, signed=True)} % {bounds}".strip()


def _times(log_ratios: Sequence[float]) -> str:
    found = estimate(log_ratios)
    if found.mean is None:
        return text.NOTHING
    ratio, low, high = (
        None if v is None else math.exp(v) if v < LARGEST_LOG else math.inf for v in (found.mean, found.low, found.high)
    )
    return f"{text.number(ratio, 2)} times {text.interval(low, high, 2)}".strip()


def _level(arm: ArmRow) -> str:
    found = arm.estimates["reward_mean"]
    return f"{text.number(found.mean, 3)} {text.interval(found.low, found.high, 3)}".strip()


def _crashes(arm: ArmRow) -> str:
    return f"{text.crashed(arm.crashed.get('crash/reward'))} runs"
