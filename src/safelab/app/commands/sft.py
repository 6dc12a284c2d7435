"""``safelab sft``: stage 1, a base model learns to write the better answers of preference pairs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safelab.app.commands._supervised import options_of, run

if TYPE_CHECKING:
    from safelab.supervised.options import SupervisedOptions

USAGE = """usage: safelab sft model=DIR output=DIR [pairs.path=FILE.jsonl.gz]
                   [key=value ...]

A causal language model learns to write the better answers of preference pairs;
only answer tokens carry a loss. The result loads with transformers, as
policy=local policy.path=OUTPUT, and as model=OUTPUT of `safelab reward-model`."""


def main(arguments: Sequence[str]) -> int:
    """Make the model; returns the exit code.

    Raises:
        SafelabError: see ``_supervised``.
    """
    options = options_of(arguments, "sft", USAGE, _kind)
    if options is None:
        return 0
    from safelab.supervised.loading import load_sft

    return run(options, "supervised fine-tuning", load_sft)


def _kind() -> "type[SupervisedOptions]":
    from safelab.supervised.options import SupervisedOptions

    return SupervisedOptions
