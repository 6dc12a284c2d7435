"""The embedded world's gold score: what the reward model stands for, measured and never optimised."""

from collections.abc import Sequence

from safelab.contracts import Context
from safelab.errors import ConfigError
from safelab.options import Options as BaseOptions
from safelab.world.gold import gold_score


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "GoldReviews":
    """The score; it holds no state."""
    return GoldReviews()


class GoldReviews:
    """``contracts.Evaluator``."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The gold score of each response; see ``world.gold``.

        Raises:
            ConfigError: a prompt is not of the review grammar.
        """
        rows = zip(prompts, responses, ended, strict=True)
        try:
            return [gold_score(prompt, response, end) for prompt, response, end in rows]
        except ValueError as error:
            raise ConfigError(
                f"evaluator must be none unless data=reviews, got gold_reviews: {error}; use evaluator=none"
            ) from error
