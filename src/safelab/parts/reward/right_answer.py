"""The reward of tasks with one right answer.

    r = 1 [the response is the right answer, and gave its end token]

Words are compared, so that neither spaces nor special tokens (which are no words) matter. Nothing but the answer earns
anything: it cannot be gamed.
"""

from collections.abc import Sequence

from safelab.contracts import Part, Reward
from safelab.maths.answers import is_right


class RightAnswer(Part, Reward):
    """Nothing to set; the answers are the data's column ``answer``."""

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], answer: Sequence[str]
    ) -> list[float]:
        """1 or 0 for each response."""
        return [float(is_right(*row)) for row in zip(responses, ended, answer, strict=True)]
