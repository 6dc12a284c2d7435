"""The kinds of crash, a row for each: everything that lists them reads this table.

From it follow the flags of a row, the keys that ``conf/detectors`` must give, what a checkpoint holds of the
detectors, what ``guard.crashes`` may name, and the columns, words and marks of the report. The order is that of the
report's columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from safelab.crash import (
    entropy_collapse,
    excess,
    hacking,
    kl_explosion,
    kl_spike,
    repetition,
    reward_crash,
    value_divergence,
)
from safelab.crash.row import Row
from safelab.options import Options, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of crash.

    Attributes:
        key: its flag in ``metrics.jsonl``.
        detector: its key in ``conf/detectors``, which is also the name of its file.
        label: its name in a report.
        words: its definition for readers of a report, with the constants in braces.
        symbol: its mark in the timeline, by Plotly's name.
        headline: whether the short tables of a report, too, have a column for it.
        options: its constants.
        state: what it remembers between updates; without arguments, the state before the first one.
        step: one more update: the next state and whether one begins; None where the row lacks what it needs.
    """

    key: str
    detector: str
    label: str
    words: str
    symbol: str
    headline: bool = False
    options: type[Options]
    state: type[State]
    step: Callable[[Any, Any, Row], tuple[State, bool] | None]

    @property
    def name(self) -> str:
        """What ``guard.crashes`` calls it: the key without ``crash/``."""
        return self.key.removeprefix("crash/")


KINDS = (
    Kind(
        key="crash/reward",
        detector="reward_crash",
        label="Reward crash",
        words="The mean reward over {window} updates falls below its running peak by more than {gain_share:.0%} of the "
        "gain so far, or {standard_errors:g} standard errors, whichever is more. The next one can begin when "
        "{rearm_share:.0%} of the fall is recovered.",
        symbol="x",
        headline=True,
        options=reward_crash.Options,
        state=reward_crash.State,
        step=reward_crash.step,
    ),
    Kind(
        key="crash/kl_spike",
        detector="kl_spike",
        label="KL spike",
        words="Exact KL exceeds the median of the {window} updates before by more than {absolute:g} nats per token or "
        "{relative:.0%}, whichever is more; at most one in {gap} updates.",
        symbol="triangle-up",
        options=kl_spike.Options,
        state=kl_spike.State,
        step=kl_spike.step,
    ),
    Kind(
        key="crash/kl_explosion",
        detector="kl_explosion",
        label="KL explosion",
        words="The mean of exact KL over {window} updates passes {threshold:g} (nats per token). The next one can "
        "begin when it was below {rearm_share:.0%} of that.",
        symbol="star",
        options=excess.Options,
        state=excess.State,
        step=kl_explosion.step,
    ),
    Kind(
        key="crash/entropy_collapse",
        detector="entropy_collapse",
        label="Entropy collapse",
        words="Entropy stays below {share:.0%} of its first value for {updates} updates on end.",
        symbol="triangle-down-open",
        options=entropy_collapse.Options,
        state=entropy_collapse.State,
        step=entropy_collapse.step,
    ),
    Kind(
        key="crash/hacking",
        detector="hacking",
        label="Reward hacking",
        words="The mean gold score over {window} updates falls more than {gold_drop:g} below its peak while the logit "
        "of the mean reward is at least {proxy_logit_gain:g} above its start (rewards outside [0, 1]: while the mean "
        "is that many deviations above it). The next one can begin when {rearm_share:.0%} of the fall is recovered.",
        symbol="diamond-open",
        headline=True,
        options=hacking.Options,
        state=hacking.State,
        step=hacking.step,
    ),
    Kind(
        key="crash/repetition",
        detector="repetition",
        label="Repetition",
        words="The mean share of equal neighbouring tokens over {window} updates passes {threshold:.0%}. The next one "
        "can begin when it was below {rearm_share:.0%} of that.",
        symbol="square-open",
        options=excess.Options,
        state=excess.State,
        step=repetition.step,
    ),
    Kind(
        key="crash/value_divergence",
        detector="value_divergence",
        label="Value divergence",
        words="The mean squared error of the values, over {window} updates, passes {threshold:g} times that of values "
        "that are all 0. The next one can begin when it was below {rearm_share:.0%} of that.",
        symbol="hexagon-open",
        options=excess.Options,
        state=excess.State,
        step=value_divergence.step,
    ),
)


def kind_of(key: str) -> Kind:
    """The row of the flag ``key``."""
    return {kind.key: kind for kind in KINDS}[key]
