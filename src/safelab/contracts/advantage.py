"""``advantage``: credit for each response token."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.contracts.part import Part
from safelab.types import Grain, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """Advantage of each response token, and what the critic is to learn; None for advantages without a critic.

    ``metrics``: numbers of the whole rollout for the log, as ``advantage/<name>``.
    """

    advantage_tok: Float[Tensor, "b t"]
    returns: Float[Tensor, "b v"] | None
    metrics: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an advantage is made from.

    ``shaped_seq``: rewards after the shaping. ``token_reward_tok``: the KL penalty of each token where its route is the
    reward, else 0; 0 on padding. ``greedy_reward_seq``: raw rewards of the greedy responses. ``logit_gradient_tok``:
    ``CausalModel.logit_gradient`` of the policy before this update. These two are None unless the advantage needs them.
    """

    rollout: Rollout
    shaped_seq: Float[Tensor, "b"]
    token_reward_tok: Float[Tensor, "b t"]
    values: Float[Tensor, "b v"]
    bootstrap_values: Float[Tensor, "b v"]
    greedy_reward_seq: Float[Tensor, "b"] | None = None
    logit_gradient_tok: Float[Tensor, "b t"] | None = None

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
        """Shaped reward and KL penalty of a whole response."""
        return self.shaped_seq + (self.token_reward_tok * self.mask).sum(dim=1)


class AdvantageEstimator(Part, ABC):
    """``advantage``: from rewards and values to advantages and returns.

    A part says its ``grain``: whether all tokens of a response have one advantage, or each token its own.
    """

    grain: ClassVar[Grain] = "sequence"

    @abstractmethod
    def estimate(self, evidence: Evidence) -> Advantages:
        """From one rollout to advantages, whitened if the option says so."""
