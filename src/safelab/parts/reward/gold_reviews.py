"""The embedded world's gold score as a reward: a judge that knows the norm, and errs about as much as is asked.

    r_i = gold(x_i, y_i) + noise e_i,   e_i ~ N(0, 1)

The error belongs to prompt and response: who asks again hears the same. Where a norm has changed it stands for the
judge that labels by the new one. As what a run optimises it is a reward that cannot be gamed but in its errors.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from safelab.contracts import Part, Reward
from safelab.errors import DataError
from safelab.maths.seeds import numpy_generator
from safelab.world.gold import Norm, gold_score
from safelab.world.grammar import named_in


class GoldReviews(Part, Reward):
    """``norm``: what is asked of a review's tone. ``noise``: deviation of the error. ``seed``: of the errors."""

    norm: Norm
    noise: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The gold score of each response with its error."""
        rows = zip(prompts, responses, ended, strict=True)
        return [gold_score(*row, self.norm) + self.noise * self._error(*row) for row in rows]

    def check_prompt(self, prompt: str) -> None:
        """Refuse what is no prompt of the review grammar.

        Raises:
            DataError: it is none.
        """
        try:
            named_in(prompt)
        except ValueError as error:
            raise DataError(f"reward must be another one unless data=reviews, got gold_reviews: {error}") from error

    def _error(self, prompt: str, response: str, ended: bool) -> float:
        return float(numpy_generator(self.seed, "gold_reviews", prompt, response, int(ended)).standard_normal())
