"""The embedded reward model: Bradley-Terry on noisy preferences, one per run seed.

reward = sigmoid(z - z_mean), in [0, 1]
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.world.artifacts import ensure_reward_model
from safelab.world.options import WorldOptions

if TYPE_CHECKING:
    from safelab.world.reward_model import RewardModel


class Options(BaseOptions):
    """``world``: how it is made, ``${world}``. ``seed``: of its preference pairs."""

    name: str
    world: WorldOptions
    seed: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> "TinyRewardModel":
    """The world's reward model, made on first use and cached."""
    from safelab.world.reward_model import load_reward_model

    directory = ensure_reward_model(options.world, options.seed, context.cache, context.progress)
    return TinyRewardModel(load_reward_model(directory, context.device))


class TinyRewardModel:
    """``contracts.Reward`` over text: it has a tokenizer of its own."""

    def __init__(self, reward_model: "RewardModel") -> None:
        self._reward_model = reward_model

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """sigmoid(z - mean) of each response; the end token is read where it was given."""
        from safelab.world.language_model import Sampled
        from safelab.world.reward_model import score

        rows = zip(prompts, responses, ended, strict=True)
        return score(self._reward_model, [Sampled(prompt=p, response=r, ended=e) for p, r, e in rows])
