"""``advantage``: credit for each response token."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.contracts.part import Need
from safelab.types import Grain, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """Advantage of each response token, and what the critic is to learn; None for advantages without a critic."""

    advantage_tok: Float[Tensor, "b t"]
    returns: Float[Tensor, "b v"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an advantage is made from.

    ``reward_seq``: shaped; ``token_reward_tok``: a KL penalty in the reward, 0 on padding. ``greedy_reward_seq``: of
    the greedy responses, for those who need them.
    """

    rollout: Rollout
    reward_seq: Float[Tensor, "b"]
    token_reward_tok: Float[Tensor, "b t"]
    values: Float[Tensor, "b v"]
    bootstrap_values: Float[Tensor, "b v"]
    greedy_reward_seq: Float[Tensor, "b"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "b t"]:
        """True for response tokens."""
        return self.rollout.mask

    @property
    def group_seq(self) -> Int[Tensor, "b"]:
        """The prompt's number of each response."""
        return self.rollout.prompts.group_seq

    @property
    def return_seq(self) -> Float[Tensor, "b"]:
        """Reward and KL penalty of a whole response."""
        return self.reward_seq + (self.token_reward_tok * self.mask).sum(dim=1)


class AdvantageEstimator(ABC):
    """``advantage``: from rewards and values to advantages and returns.

    ``needs``: what it asks of the other parts, see ``Need``. ``grain``: whether all tokens of a response bear one
    advantage, or each its own.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    grain: ClassVar[Grain] = "sequence"

    @abstractmethod
    def estimate(self, evidence: Evidence) -> Advantages:
        """From one rollout to advantages, whitened if the option says so."""
