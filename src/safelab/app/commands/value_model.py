"""``safelab value-model``: a token classifier with one output learns which answer is the better one, token by token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safelab.app.commands._supervised import options_of, run

if TYPE_CHECKING:
    from safelab.supervised.options import SupervisedOptions

USAGE = """usage: safelab value-model model=DIR output=DIR [pairs.path=FILE.jsonl.gz]
                           [key=value ...]

DVPO's stage 1: on a copy of the policy's layers, a value after every token of
an answer, from preference pairs; how often it tells the better answer is
measured on pairs that are kept back. model is the policy's own checkpoint, as
both must share the tokenizer. The result serves algorithm=dvpo
advantage.path=OUTPUT."""


def main(arguments: Sequence[str]) -> int:
    """Make the model; returns the exit code.

    Raises:
        SafelabError: see ``_supervised``.
    """
    options = options_of(arguments, "value_model", USAGE, _kind)
    if options is None:
        return 0
    from safelab.supervised.loading import load_value_model

    return run(options, "value model", load_value_model)


def _kind() -> "type[SupervisedOptions]":
    from safelab.supervised.options import SupervisedOptions

    return SupervisedOptions
