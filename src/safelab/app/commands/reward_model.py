"""``safelab reward-model``: stage 2, a classifier with one output learns which of two answers is the better one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safelab.app.commands._supervised import options_of, run

if TYPE_CHECKING:
    from safelab.supervised.options import RewardModelOptions

USAGE = """usage: safelab reward-model model=DIR output=DIR [pairs.path=FILE.jsonl.gz]
                            [key=value ...]

A Bradley-Terry model on preference pairs, from any causal model or classifier;
its accuracy is measured on pairs that are kept back. The result loads with
transformers and as reward=sequence_classifier reward.path=OUTPUT."""


def main(arguments: Sequence[str]) -> int:
    """Make the model; returns the exit code.

    Raises:
        SafelabError: see ``_supervised``.
    """
    options = options_of(arguments, "reward_model", USAGE, _kind)
    if options is None:
        return 0
    from safelab.supervised.labels import labels_of
    from safelab.supervised.loading import load_reward_model

    return run(options, "reward model", load_reward_model, labels_of)


def _kind() -> "type[RewardModelOptions]":
    from safelab.supervised.options import RewardModelOptions

    return RewardModelOptions
