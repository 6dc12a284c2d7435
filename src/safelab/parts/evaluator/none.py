"""No held-out score."""

from collections.abc import Sequence

from safelab.contracts import Evaluator


class NoEvaluator(Evaluator):
    """Nothing to set."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> None:
        """Nothing."""
        return
