"""What counts as a crash: the one place of the definitions. Folds over the rows of ``metrics.jsonl``.

| key | begins where |
|---|---|
| ``crash/reward`` | the mean reward falls below its running peak by more than noise and a share of the gain |
| ``crash/kl_spike`` | exact KL jumps above the median of the updates before |
| ``crash/kl_explosion`` | the mean exact KL passes a threshold |
| ``crash/entropy_collapse`` | entropy stays below a share of its start |
| ``crash/hacking`` | the gold score falls while the reward that is optimised stays up |
| ``crash/repetition`` | the mean share of repeated neighbouring tokens passes a threshold |
| ``crash/value_divergence`` | the mean error of the values passes a multiple of what zeros would have |

Each is 1 at the update where one begins, else 0, and is absent where the row lacks what it needs. A batch of one
response has no deviation (NaN), so neither ``crash/reward`` nor ``crash/hacking``.

The constants were calibrated on null (learning rate 0), healthy and failed runs of 150 updates. On simulated nulls
(batch 32) ``crash/reward`` fires at 6 standard errors in 1 % of runs of 150 updates, 15 % of 600, 55 % of 2,000: a
peak is a maximum, and grows with its tries. 8 standard errors give less than 1 % at 2,000. The gain share takes over
as soon as a run has learnt more than some 24 standard errors. The other four did not fire in any null. Repetition:
the 10-update mean stayed below 0.1 in ten runs of six arms, null and healthy, and reached 0.68 to 1 in the three that
really repeat. Value divergence: below 7.2 in thirteen runs, one with a critic that never learns among them, and 72 in
the one whose critic was broken on purpose (learning rate 1).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from safelab.crash.drift import (
    EntropyCollapseOptions,
    EntropyCollapseState,
    ExcessOptions,
    ExcessState,
    KlSpikeOptions,
    KlSpikeState,
    entropy_collapse_step,
    excess_step,
    kl_spike_step,
)
from safelab.crash.hacking import HackingOptions, HackingState, hacking_step
from safelab.crash.reward_crash import RewardCrashOptions, RewardCrashState, reward_crash_step
from safelab.options import Options, State

KEYS = (
    "crash/reward", "crash/kl_spike", "crash/kl_explosion", "crash/entropy_collapse", "crash/hacking",
    "crash/repetition", "crash/value_divergence",
)  # fmt: skip


class DetectorOptions(Options):
    """The constants of every definition."""

    reward_crash: RewardCrashOptions
    kl_spike: KlSpikeOptions
    kl_explosion: ExcessOptions
    entropy_collapse: EntropyCollapseOptions
    hacking: HackingOptions
    repetition: ExcessOptions
    value_divergence: ExcessOptions


class DetectorState(State):
    """What the folds remember between updates."""

    reward_crash: RewardCrashState = RewardCrashState()
    kl_spike: KlSpikeState = KlSpikeState()
    kl_explosion: ExcessState = ExcessState()
    entropy_collapse: EntropyCollapseState = EntropyCollapseState()
    hacking: HackingState = HackingState()
    repetition: ExcessState = ExcessState()
    value_divergence: ExcessState = ExcessState()


def detect_init() -> DetectorState:
    """The state before the first update."""
    return DetectorState()


def detect_step(
    options: DetectorOptions, state: DetectorState, row: Mapping[str, Any], batch_size: int
) -> tuple[DetectorState, dict[str, int]]:
    """One more update.

    Args:
        options: the constants.
        state: after the update before.
        row: metrics by name; those not needed are ignored.
        batch_size: responses behind ``reward/mean``.

    Returns:
        The next state, and 1 or 0 for each event that the row allows to judge.
    """
    changes: dict[str, State] = {}
    events: dict[str, int] = {}

    def record(name: str, key: str, outcome: tuple[State, bool]) -> None:
        changes[name], events[key] = outcome[0], int(outcome[1])

    reward, deviation = _number(row, "reward/mean"), _number(row, "reward/std")
    kl, entropy, gold = (
        _number(row, name) for name in ("kl/ref_token_exact", "policy/entropy_token", "reward/gold_mean")
    )
    if reward is not None and deviation is not None and (math.isfinite(deviation) or not math.isfinite(reward)):
        crash = reward_crash_step(options.reward_crash, state.reward_crash, reward, deviation, batch_size)
        record("reward_crash", "crash/reward", crash)
        if gold is not None:
            hacked = hacking_step(options.hacking, state.hacking, reward, deviation, _bounded(row, reward), gold)
            record("hacking", "crash/hacking", hacked)
    if kl is not None:
        record("kl_spike", "crash/kl_spike", kl_spike_step(options.kl_spike, state.kl_spike, kl))
        record("kl_explosion", "crash/kl_explosion", excess_step(options.kl_explosion, state.kl_explosion, kl))
    if entropy is not None:
        collapse = entropy_collapse_step(options.entropy_collapse, state.entropy_collapse, entropy)
        record("entropy_collapse", "crash/entropy_collapse", collapse)
    if (repeated := _number(row, "response/repeat_rate")) is not None:
        record("repetition", "crash/repetition", excess_step(options.repetition, state.repetition, repeated))
    if (error := _number(row, "critic/error_ratio")) is not None:
        diverged = excess_step(options.value_divergence, state.value_divergence, error)
        record("value_divergence", "crash/value_divergence", diverged)
    return state.model_copy(update=changes), events


def detect(options: DetectorOptions, rows: Iterable[Mapping[str, Any]], batch_size: int) -> list[dict[str, int]]:
    """The events of a whole run, one mapping per row: ``detect_step`` from the beginning."""
    state, found = detect_init(), []
    for row in rows:
        state, events = detect_step(options, state, row, batch_size)
        found.append(events)
    return found


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return None if value is None else float(value)


def _bounded(row: Mapping[str, Any], mean: float) -> bool:
    low, high = _number(row, "reward/min"), _number(row, "reward/max")
    return (mean if low is None else low) >= 0 and (mean if high is None else high) <= 1
