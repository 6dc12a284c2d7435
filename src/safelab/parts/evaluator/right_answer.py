"""The share of right answers, as ``reward=right_answer`` pays it.

Beside that reward it is the same number, and honestly so: what is paid is what is wanted. Beside another one (a reward
model of right and wrong answers, ``reward=tiny_rm``) it tells whether that one is hacked.
"""

from collections.abc import Sequence

from safelab.contracts import Evaluator
from safelab.maths.answers import is_right


class RightAnswer(Evaluator):
    """Nothing to set; the answers are the data's column ``answer``."""

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], answer: Sequence[str]
    ) -> list[float]:
        """1 or 0 for each response."""
        return [float(is_right(*row)) for row in zip(responses, ended, answer, strict=True)]
