"""What separates the arms: the keys of their configurations that differ."""

from collections.abc import Mapping, Sequence

from safelab.results.model import Difference
from safelab.results.runs.load import RunSet
from safelab.results.runs.select import ABSENT, as_text
from safelab.runlog.keys import MAKES_NO_ARM, is_among

ALWAYS_DIFFERENT = tuple(key for key in MAKES_NO_ARM if key != "updates")
"""Keys, or their first parts, that tell runs apart without telling methods apart; a run's length is worth telling."""


def differences(loaded: RunSet) -> list[Difference]:
    """Each key whose value is not the same in all arms (seen in the first run of each arm), with all its values."""
    flat = {arm: as_text(runs[0].record.config) for arm, runs in loaded.arms.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    rows = [Difference(key=k, values={arm: values.get(k, ABSENT) for arm, values in flat.items()}) for k in keys]
    return [row for row in rows if len(set(row.values.values())) > 1 and not is_among(row.key, ALWAYS_DIFFERENT)]


def uneven(loaded: RunSet) -> dict[str, list[str]]:
    """Arms whose own runs differ in a key, with those keys: such runs are not repetitions of one another."""
    found = {}
    for arm, runs in loaded.arms.items():
        flat = [as_text(run.record.config) for run in runs if not run.duplicate]
        keys = dict.fromkeys(key for values in flat for key in values)
        odd = [key for key in keys if len({values.get(key) for values in flat}) > 1]
        found[arm] = [key for key in odd if not is_among(key, ALWAYS_DIFFERENT) and not follows_seed(key, flat)]
    return {arm: keys for arm, keys in found.items() if keys}


def follows_seed(key: str, configs: Sequence[Mapping[str, str]]) -> bool:
    """Whether ``key`` is a seed, and the run's own in every run, as ``data.seed`` is: then it differs as seeds should.

    By its value alone, ``rollout.staleness`` of 0 and 1 would be one under the seeds 0 and 1.
    """
    return key.endswith(".seed") and all(values.get(key) == values.get("seed") for values in configs)
