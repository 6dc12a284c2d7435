"""Another reward with seeded faults: an instrument for asking what a method makes of a reward that is wrong.

    r' = f(r) + std z,    z ~ N(0, 1),    f(r) = 2 flip_about - r  with probability flip_share,  else r

z and the flip are functions of seed, prompt and response: the same response to the same prompt is misjudged in the same
way each time, as by a reward model, and a resumed run meets the same faults. With std = flip_share = 0 nothing changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from safelab.contracts import Context, Part, Reading, Reward, checked_scores, given, reading_of
from safelab.errors import ConfigError
from safelab.maths.seeds import numpy_generator
from safelab.plugins import build_option


class Perturbed(Part):
    """``of``: the reward's configuration, ``name`` and its keys. ``std``: of the noise, in units of that reward.

    ``flip_share``: of responses, whose reward is turned about ``flip_about``: 0.5 makes a 1 of a 0. ``seed``: of both.
    """

    holds: ClassVar[Mapping[str, str]] = {"of": "reward"}

    of: Mapping[str, Any]
    std: Annotated[float, Field(ge=0)]
    flip_share: Annotated[float, Field(ge=0, le=1)]
    flip_about: float
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> Reward:
        """The reward, by its own option.

        Raises:
            ConfigError: it cannot be built; with the key ``reward.of``.
        """
        try:
            return PerturbedReward(self, build_option("reward", self.of, context))
        except ConfigError as error:
            raise ConfigError(f"reward.of: {error}") from error


@dataclass(frozen=True, slots=True)
class PerturbedReward(Reward):
    """``reward``, perturbed as ``options`` say."""

    options: Perturbed
    reward: Reward

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the reward cannot read."""
        self.reward.check_prompt(prompt)

    def reading(self) -> Reading:
        """What the reward reads."""
        return reading_of(self.reward)

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], **columns: Sequence[Any]
    ) -> list[float]:
        """The reward's score of each response, perturbed."""
        found = self.reward.score(list(prompts), list(responses), list(ended), **given(self.reward, columns))
        scores = checked_scores("reward.of", found, prompts)
        return [self._perturbed(*row) for row in zip(prompts, responses, scores, strict=True)]

    def _perturbed(self, prompt: str, response: str, score: float) -> float:
        options = self.options
        drawn = numpy_generator(options.seed, "perturbed", prompt, response)
        noise, turned = options.std * drawn.standard_normal(), drawn.random() < options.flip_share
        return (2 * options.flip_about - score if turned else score) + noise
