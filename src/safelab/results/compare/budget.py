"""Arms at equal KL: what each would have if training had stopped within a budget of KL.

A run under a budget ``k`` is the policy that one would keep: of all updates whose KL is at most ``k``, that with the
highest reward,

    t(k) = argmax over { t : KL_t <= k } of reward_t,        both as rolling means over ``window`` updates.

Its reward never falls with ``k``. The gold score is that of the same update: nobody could have chosen by it. The runs
are taken as measured, whatever the crash policy: what happens after the budget is spent does not matter.

Ref: Gao, Schulman and Hilton, Scaling laws for reward model overoptimization, 2023, section 3 (reward by KL).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from safelab.results.compare.against_baseline import paired
from safelab.results.compare.statistics import estimate
from safelab.results.model import ArmRow, BudgetRow
from safelab.results.runs.load import RunSet
from safelab.results.runs.measures import GOLD, KL, REWARD
from safelab.results.runs.metrics import Column, numbers_of, rolling_mean

Kept = Mapping[str, float | None]
"""``reward`` and ``gold`` of one run under a budget."""


def budgets(arms: Sequence[ArmRow]) -> list[float]:
    """The least, the median and the greatest final KL of the arms, to two digits: KL that some arm really spends."""
    spent = sorted(kl for arm in arms if (kl := arm.estimates["kl_final"].mean) is not None and np.isfinite(kl))
    if len(spent) < 2:
        return []
    levels = [float(f"{level:.2g}") for level in (spent[0], float(np.median(spent)), spent[-1])]
    return sorted({level for level in levels if level > 0})


def at_equal_kl(loaded: RunSet, arms: Sequence[ArmRow], baseline: str | None, window: int) -> list[BudgetRow]:
    """Every arm under every budget, with its paired difference from the baseline; none where no run has a KL."""
    columns = {arm: _columns(loaded, arm) for arm in (row.name for row in arms)}
    rows = []
    for budget in budgets(arms):
        kept = {
            arm: {seed: keep(*found, budget, window) for seed, found in by_seed.items()}
            for arm, by_seed in columns.items()
        }
        base = {} if baseline is None else kept[baseline]
        rows += [_row(arm, budget, kept[arm], {} if arm == baseline else base) for arm in kept]
    return rows


def keep(kl: Column, reward: Column, gold: Column | None, budget: float, window: int) -> Kept:
    """Reward and gold score of the update that one would keep; None where the KL is never within the budget."""
    spent, gained = rolling_mean(kl, window), rolling_mean(reward, window)
    within = np.flatnonzero((spent <= budget) & np.isfinite(gained))
    if not len(within):
        return {"reward": None, "gold": None}
    best = int(within[np.argmax(gained[within])])
    scored = np.nan if gold is None else float(rolling_mean(gold, window)[best])
    return {"reward": float(gained[best]), "gold": scored if np.isfinite(scored) else None}


def _columns(loaded: RunSet, arm: str) -> dict[int, tuple[Column, Column, Column | None]]:
    """KL, reward and gold score of each counted run that has the first two in the same rows."""
    found = {}
    for run in loaded.arms[arm]:
        frame = run.record.metrics
        kl, reward, gold = (numbers_of(frame, name) for name in (KL, REWARD, GOLD))
        if run.counted and len(kl) and len(kl) == len(reward):
            found[run.seed] = (kl, reward, gold if len(gold) == len(kl) else None)
    return found


def _row(arm: str, budget: float, kept: Mapping[int, Kept], base: Mapping[int, Kept]) -> BudgetRow:
    def over_seeds(key: str) -> list[float]:
        return [value for row in kept.values() if (value := row[key]) is not None]

    return BudgetRow(
        arm=arm,
        kl=budget,
        reward=estimate(over_seeds("reward")),
        gold=estimate(over_seeds("gold")),
        reward_difference=estimate(list(paired(kept, base, "reward").values())),
        gold_difference=estimate(list(paired(kept, base, "gold").values())),
    )
