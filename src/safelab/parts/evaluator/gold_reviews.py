"""The embedded world's gold score: what the reward model stands for, measured and never optimised."""

from collections.abc import Sequence

from safelab.contracts import Evaluator
from safelab.errors import ConfigError
from safelab.world.gold import Norm, gold_score


class GoldReviews(Evaluator):
    """``norm``: what is asked of a review's tone; the world's pairs and its reward model are made by ``kind``."""

    norm: Norm

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The gold score of each response; see ``world.gold``.

        Raises:
            ConfigError: a prompt is not of the review grammar.
        """
        rows = zip(prompts, responses, ended, strict=True)
        try:
            return [gold_score(prompt, response, end, self.norm) for prompt, response, end in rows]
        except ValueError as error:
            raise ConfigError(
                f"evaluator must be none unless data=reviews, got gold_reviews: {error}; use evaluator=none"
            ) from error
