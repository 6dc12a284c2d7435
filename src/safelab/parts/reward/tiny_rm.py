"""The embedded reward model: Bradley-Terry on noisy preferences, one per run seed.

reward = sigmoid(z - z_mean), in [0, 1]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from safelab.contracts import Context, Part, Reward
from safelab.world.artifacts import ensure_reward_model
from safelab.world.options import WorldOptions

if TYPE_CHECKING:
    from safelab.world.reward_model import RewardModel


class TinyRm(Part):
    """``world``: how it is made, ``${world}``. ``seed``: of its preference pairs."""

    world: WorldOptions
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> Reward:
        """The world's reward model, made on first use and cached."""
        from safelab.world.reward_model import load_reward_model

        directory = ensure_reward_model(self.world, self.seed, context.cache, context.progress)
        return TinyReward(load_reward_model(directory, context.device))


@dataclass(frozen=True, slots=True)
class TinyReward(Reward):
    """The model, which has a tokenizer of its own."""

    model: "RewardModel"

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """sigmoid(z - mean) of each response; the end token is read where it was given."""
        from safelab.world.language_model import Sampled
        from safelab.world.reward_model import score

        rows = zip(prompts, responses, ended, strict=True)
        return score(self.model, [Sampled(prompt=p, response=r, ended=e) for p, r, e in rows])
