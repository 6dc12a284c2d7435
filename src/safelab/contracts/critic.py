"""``critic``: values of prompts and responses."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from safelab.types import Grain


class Critic(ABC):
    """``critic``: value heads on hidden states. ``grain`` None: there are no values (v = 0).

    ``reads_padding``: whether it reads the policy's states behind a response's end, which are then computed.
    ``positions``: of the longest sequence that a network of its own reads, None for no limit.
    """

    module: nn.Module
    target: nn.Module | None
    grain: Grain | None
    coef: float
    warmup_updates: int
    reads_padding: bool = False
    positions: int | None = None

    def states(
        self,
        hidden: Float[Tensor, "b t1 d"],
        prompt_ids: Int[Tensor, "b p"],
        prompt_mask: Bool[Tensor, "b p"],
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, "b t1 d_v"]:
        """The states that its heads read: the policy's, unless it has a network of its own, which reads the tokens.

        Args:
            hidden: of the policy, see ``CausalModel.hidden``.
            prompt_ids: tokens of the prompts, padded on the left.
            prompt_mask: True for a prompt's tokens.
            ids: tokens of the responses, padded on the right.
            mask: True for a response's tokens.
        """
        return hidden

    @abstractmethod
    def heads(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """Each head's value, read where the option says."""

    @abstractmethod
    def bootstrap(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """The same from the Polyak target, where the option keeps one: what a return bootstraps from."""

    @abstractmethod
    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """The value that the advantage uses."""

    @abstractmethod
    def loss(
        self, heads: Float[Tensor, "b v h"], heads_old: Float[Tensor, "b v h"], returns: Float[Tensor, "b v"]
    ) -> Float[Tensor, "b v"]:
        """Loss of each value, not yet averaged."""

    @abstractmethod
    def after_step(self) -> None:
        """Called after each optimiser step: moves the target, where there is one."""


def critic_states(critic: Any, hidden: Float[Tensor, "b t1 d"], *tokens: Tensor) -> Float[Tensor, "b t1 d_v"]:
    """``critic.states``, see there; of a user's critic that is any object with ``heads``, the policy's states."""
    if not hasattr(critic, "states"):
        return hidden
    states: Tensor = critic.states(hidden, *tokens)
    return states
