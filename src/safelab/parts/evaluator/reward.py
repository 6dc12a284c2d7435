"""Any reward as the held-out score: a second reward model that judges what the first one is made to like.

    gold_i = r_of(x_i, y_i)

Ref: Gao et al. 2022, arXiv 2210.10760, section 2 (a larger reward model as the gold that proxies stand for).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from safelab.contracts import Context, Evaluator, Reading, given, reading_of
from safelab.errors import ConfigError
from safelab.plugins import build_option


class RewardEvaluator(Evaluator):
    """``of``: the reward's configuration, ``name`` and its keys."""

    holds: ClassVar[Mapping[str, str]] = {"of": "reward"}

    of: Mapping[str, Any]

    def build(self, context: Context) -> Evaluator:
        """The reward, by its own option.

        Raises:
            ConfigError: it cannot be built; with the key ``evaluator.of``.
        """
        try:
            return _Measured(name=self.name, reward=build_option("reward", self.of, context))
        except ConfigError as error:
            raise ConfigError(f"evaluator.of: {error}") from error

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], *args: Any, **columns: Any
    ) -> None:
        """Nothing yet: what ``build`` returns has the reward that scores."""
        raise AssertionError("an evaluator that was not built has no reward")


class _Measured(Evaluator):
    """What the reward says, where nothing learns from it."""

    reward: Any

    def reading(self) -> Reading:
        """What the reward reads."""
        return reading_of(self.reward)

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], *args: Any, **columns: Any
    ) -> list[float]:
        """The reward's score of each response."""
        scores: list[float] = self.reward.score(prompts, responses, ended, **given(self.reward, columns))
        return scores
