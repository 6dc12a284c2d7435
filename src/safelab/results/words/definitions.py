"""The definitions of crashes in words, with the constants that the runs had."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from safelab.results.model import Definition
from safelab.results.runs.load import RunSet

TEXTS: Mapping[str, tuple[str, str, str]] = {
    "crash/reward": (
        "Reward crash",
        "reward_crash",
        "The mean reward over {window} updates falls below its running peak by more than {gain_share:.0%} of the gain "
        "so far, or {standard_errors:g} standard errors, whichever is more. The next one can begin when "
        "{rearm_share:.0%} of the fall is recovered.",
    ),
    "crash/kl_spike": (
        "KL spike",
        "kl_spike",
        "Exact KL exceeds the median of the {window} updates before by more than {absolute:g} nats per token or "
        "{relative:.0%}, whichever is more; at most one in {gap} updates.",
    ),
    "crash/kl_explosion": (
        "KL explosion",
        "kl_explosion",
        "The mean of exact KL over {window} updates passes {threshold:g} (nats per token). The next one can begin when "
        "it was below {rearm_share:.0%} of that.",
    ),
    "crash/entropy_collapse": (
        "Entropy collapse",
        "entropy_collapse",
        "Entropy stays below {share:.0%} of its first value for {updates} updates on end.",
    ),
    "crash/hacking": (
        "Reward hacking",
        "hacking",
        "The mean gold score over {window} updates falls more than {gold_drop:g} below its peak while the logit of the "
        "mean reward is at least {proxy_logit_gain:g} above its start (rewards outside [0, 1]: while the mean is that "
        "many deviations above it). The next one can begin when {rearm_share:.0%} of the fall is recovered.",
    ),
    "crash/repetition": (
        "Repetition",
        "repetition",
        "The mean share of equal neighbouring tokens over {window} updates passes {threshold:.0%}. The next one can "
        "begin when it was below {rearm_share:.0%} of that.",
    ),
    "crash/value_divergence": (
        "Value divergence",
        "value_divergence",
        "The mean squared error of the values, over {window} updates, passes {threshold:g} times that of values that "
        "are all 0. The next one can begin when it was below {rearm_share:.0%} of that.",
    ),
}
"""Kind: its name, its key in the configuration's ``detectors``, and what ``safelab.crash.detectors`` does, in words."""


def label(kind: str) -> str:
    """``"Reward crash"`` for ``"crash/reward"``."""
    return TEXTS[kind][0]


def definitions(constants: Mapping[str, Any], kinds: Sequence[str]) -> list[Definition]:
    """The definition of each of ``kinds``, with its constants or, where the runs hold none, without."""
    return [Definition(kind=kind, label=label(kind), text=_filled(kind, constants)) for kind in kinds]


def constants_of(loaded: RunSet) -> tuple[dict[str, Any], bool]:
    """The detectors' constants of the first run that has them, and whether all runs have the same."""
    found = [run.record.config["detectors"] for run in loaded.runs if run.record.config.get("detectors")]
    return (dict(found[0]), all(other == found[0] for other in found)) if found else ({}, True)


def _filled(kind: str, constants: Mapping[str, Any]) -> str:
    _, key, text = TEXTS[kind]
    try:
        return re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", text.format(**constants[key]))
    except (KeyError, TypeError, ValueError):
        # Runs of another version or another program: their flags stand, their constants are not known here.
        return f"As the runs defined it; their constants: {constants.get(key, 'not recorded')}."
