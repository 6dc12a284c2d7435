"""No held-out score."""

from collections.abc import Sequence

from safelab.contracts import Context
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoEvaluator":
    """The absent score."""
    return NoEvaluator()


class NoEvaluator:
    """``contracts.Evaluator``."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> None:
        """Nothing."""
        return
