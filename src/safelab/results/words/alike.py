"""Whether the arms share what they must share for their numbers to be comparable."""

from collections.abc import Mapping, Sequence

from safelab.results import text
from safelab.results.model import Difference
from safelab.results.runs.select import ABSENT

SAME_FOR_ALL: Mapping[str, str] = {
    "reward": "reward",
    "evaluator": "gold score",
    "data": "prompts",
    "pairs": "preference pairs",
    "policy": "policy",
    "world": "world",
}
"""Groups of the configuration in which arms that are compared should not differ, and what is then not the same."""

MOVES_NOTHING = (
    "attention",
    "batch_size",
    "compile",
    "device",
    "dtype",
    "gradient_checkpointing",
    "sharding",
    "packing",
    "timeout_s",
    "seed",
)
"""Last parts of keys of these groups that change how and not what is computed, or go with the run's seed."""

KEYS = 3
"""Keys of one group that are spelt out."""

LONGEST = 40
"""Characters of a value that a sentence shows."""


def not_alike_said(arms: Sequence[str], baseline: str | None, differences: Sequence[Difference]) -> list[str]:
    """One sentence for each thing that arms should share and do not: whose differs from whose, and in which keys.

    The measure is the baseline, else what most arms have. An arm without a configuration is not judged.
    """
    configured = [arm for arm in arms if any(row.values.get(arm, ABSENT) != ABSENT for row in differences)]
    said = []
    for group, what in SAME_FOR_ALL.items():
        rows = [row for row in differences if _of(group, row.key)]
        told = {arm: tuple(row.values.get(arm, ABSENT) for row in rows) for arm in configured}
        if len(set(told.values())) < 2:
            continue
        usual = told[baseline] if baseline in told else max(told.values(), key=[*told.values()].count)
        odd = [arm for arm in told if told[arm] != usual]
        like = baseline if baseline in told else text.listed([arm for arm in told if told[arm] == usual])
        said.append(
            f"{text.listed(odd)} {'does' if len(odd) == 1 else 'do'} not have the same {what} as {like} "
            f"({_keys(rows, odd[0], told[odd[0]], usual)}): a difference between them may come from that alone."
        )
    return said


def _of(group: str, key: str) -> bool:
    parts = key.split(".")
    return parts[0] == group and parts[-1] not in MOVES_NOTHING


def _keys(rows: Sequence[Difference], odd: str, its: Sequence[str], usual: Sequence[str]) -> str:
    """The keys in which an arm differs from the usual, and both values of the first of them."""
    apart = [(row.key, own, other) for row, own, other in zip(rows, its, usual, strict=True) if own != other]
    key, own, other = apart[0]
    rest = [name for name, _, _ in apart[1:]]
    first = f"{key}: {text.short(own, LONGEST)} in {odd}, {text.short(other, LONGEST)} otherwise"
    return f"{first}; {text.listed(rest, KEYS)}" if rest else first
