"""The numbers of a run that a report knows, and the metrics that it draws: names, units, digits, meanings."""

from collections.abc import Mapping, Sequence

from safelab.errors import DataError, nearest
from safelab.results.model import Measure
from safelab.results.runs.bounds import bounds_of
from safelab.results.runs.evaluated import EVALUATED

FINAL_SHARE = 0.1
"""Share of the updates at the end that "final" means."""

KL = "kl/ref_token_exact"
"""The KL of every table: over the full vocabulary, because its estimators are biased or negative where it is large."""

GOLD = "reward/gold_mean"
REWARD = "reward/mean"
ENTROPY = "policy/entropy_token"
LENGTH = "response/length_mean"

MEASURES = (
    Measure(
        key="reward_mean",
        label="Training-average reward",
        unit="reward",
        better="higher",
        digits=3,
        meaning="mean of reward/mean over all updates",
    ),
    Measure(
        key="reward_final",
        label="Final reward",
        unit="reward",
        better="higher",
        digits=3,
        meaning="mean of reward/mean over the last tenth of the updates",
    ),
    Measure(
        key="gold_final",
        label="Final gold score",
        unit="gold",
        better="higher",
        digits=2,
        meaning="mean of reward/gold_mean, which nothing optimises, over the last tenth of the updates",
    ),
    Measure(
        key="reward_sd",
        label="Reward SD in a run",
        unit="reward",
        better="lower",
        digits=4,
        meaning="standard deviation of reward/mean over all updates; a run that learns has one, too",
        least=0.0,
    ),
    Measure(
        key="reward_sd_rolling",
        label="Reward SD around rolling mean",
        unit="reward",
        better="lower",
        digits=4,
        meaning="standard deviation of reward/mean minus its centred rolling mean; whole windows only",
        least=0.0,
    ),
    Measure(
        key="kl_mean",
        label="Mean KL",
        unit="nats/token",
        better="",
        digits=3,
        meaning="mean of kl/ref_token_exact over all updates",
        least=0.0,
    ),
    Measure(
        key="kl_max",
        label="Greatest KL",
        unit="nats/token",
        better="",
        digits=3,
        meaning="greatest kl/ref_token_exact of any update",
        least=0.0,
    ),
    Measure(
        key="kl_final",
        label="Final KL",
        unit="nats/token",
        better="",
        digits=3,
        meaning="mean of kl/ref_token_exact over the last tenth of the updates",
        least=0.0,
    ),
    Measure(
        key="kl_spikes",
        label="KL spikes",
        unit="count",
        better="lower",
        digits=1,
        meaning="KL spikes in a run (nats per token; defined below), none where the run did not look for them",
        least=0.0,
    ),
    Measure(
        key="entropy_final",
        label="Final entropy",
        unit="nats/token",
        better="",
        digits=3,
        meaning="mean of policy/entropy_token over the last tenth of the updates",
        least=0.0,
    ),
    Measure(
        key="gold_gap",
        label="Hacking gap (gold lost since its peak)",
        unit="gold",
        better="lower",
        digits=2,
        meaning="greatest rolling mean of reward/gold_mean minus its final value: what over-optimisation has cost",
    ),
    Measure(
        key="length_final",
        label="Final response length",
        unit="tokens",
        better="",
        digits=1,
        meaning="mean of response/length_mean over the last tenth of the updates",
        least=0.0,
    ),
    Measure(
        key="eos_final",
        label="Responses that end",
        unit="share",
        better="",
        digits=2,
        meaning="mean of response/eos_rate over the last tenth of the updates",
        least=0.0,
        greatest=1.0,
    ),
    Measure(
        key="value_bias",
        label="Final value bias",
        unit="return",
        better="",
        digits=3,
        meaning="mean of critic/bias (value minus return) over the last tenth of the updates",
    ),
    Measure(
        key="tokens_per_s",
        label="Speed",
        unit="tokens/s",
        better="higher",
        digits=0,
        meaning="median of speed/tokens_per_s; depends on what else the machine did",
        least=0.0,
    ),
    Measure(
        key="update_s",
        label="Time per update",
        unit="s",
        better="lower",
        digits=3,
        meaning="median of time/total_s; depends on what else the machine did",
        least=0.0,
    ),
    *EVALUATED,
)

PRIMARY = "reward_mean"
"""The measure of the verdict unless another is asked for: the SAFE paper's headline."""

PANELS: Mapping[str, tuple[str, str]] = {
    REWARD: ("Reward", "reward model"),
    GOLD: ("Gold score", "never optimised"),
    KL: ("KL to the reference", "nats per token"),
    ENTROPY: ("Entropy", "nats per token"),
    LENGTH: ("Response length", "tokens"),
    "critic/bias": ("Value bias", "value minus return"),
    "controller/threshold": ("KL threshold", "nats per token"),
    "controller/gate": ("Entropy gate", "factor"),
    "controller/penalty": ("KL penalty", "in the loss"),
}
"""The curves, in order: metric, title, unit. One that no run has, or that is 0 everywhere, is left out."""


def final_rows(count: int) -> int:
    """How many of ``count`` rows are the last tenth: ``ceil(count / 10)``, at least one."""
    return max(1, -(-count // round(1 / FINAL_SHARE)))


def chosen(names: Sequence[str], columns: Sequence[str]) -> tuple[Measure, ...]:
    """All measures, those in ``names`` first; a metric of the log (``policy/grad_norm``) becomes one, too.

    Raises:
        DataError: a name is neither a measure nor a metric that a run has.
    """
    known = {measure.key: measure for measure in MEASURES}
    asked = []
    for name in names:
        if name not in known and name not in columns:
            kinds = nearest(name, [*known, *columns])
            raise DataError(f"--metric must name a measure or a metric of the runs, got {name!r}; {kinds}")
        asked.append(known.get(name) or final_of(name))
    return tuple(dict.fromkeys([*asked, *MEASURES]))


def final_of(column: str) -> Measure:
    """The measure that a metric of the log becomes: its mean over the last tenth."""
    meaning = f"mean of {column} over the last tenth of the updates"
    least, greatest = bounds_of(column)
    return Measure(
        key=column,
        label=f"Final {column}",
        unit="",
        better="",
        digits=3,
        meaning=meaning,
        least=least,
        greatest=greatest,
    )
