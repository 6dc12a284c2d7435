"""What an update minimises: ``objective`` and ``aggregation`` online, ``preference`` on pairs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Generic, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts.part import Part
from safelab.options import S, State
from safelab.types import Counts, Current, Grain, PairBatch, PolicyLoss, TrainBatch

Anchor = Literal["rollout", "old"]
EntropyPositions = Literal["response", "all"]


class Objective(Part, ABC, Generic[S]):
    """``objective``: the policy's loss, token by token.

    ``anchor``: whose log-probabilities the ratio is taken to; they differ only where the rollout is stale.
    ``rollout``: the policy that sampled; ``old``: the one before this update. ``entropy_coef`` multiplies the mean
    entropy (nats per token) that is subtracted from the loss, averaged over ``entropy_positions``: the response, or
    all columns with their padding (as SAFE's released code). A part says its ``ratio_grain``: ``sequence`` if the
    tokens of a response share one ratio; ``own_loss``: whether a token's loss has gradient in its own response alone,
    so that a weight of 0 takes that out; and ``pushes_down``: whether the loss of a response with a negative advantage
    is its own and makes it less likely, so that a correction can leave it out.
    """

    ratio_grain: ClassVar[Grain] = "token"
    own_loss: ClassVar[bool] = True
    pushes_down: ClassVar[bool] = True

    anchor: Anchor
    entropy_coef: Annotated[float, Field(ge=0)]
    entropy_positions: EntropyPositions

    @abstractmethod
    def init(self) -> S:
        """What it remembers before the first update: a dual variable, or nothing."""

    @abstractmethod
    def step(self, state: S, seen: Mapping[str, float]) -> S:
        """Once an update, after its last pass over the batch, whose ``metrics_tok`` were on average ``seen``."""

    @abstractmethod
    def loss(self, state: S, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""

    def anchor_logp(self, batch: TrainBatch) -> Float[Tensor, "b t"]:
        """The anchor's log-probability of each response token, without gradient."""
        return batch.logp_rollout_tok if self.anchor == "rollout" else batch.logp_old_tok

    def log_ratio(self, current: Current, batch: TrainBatch) -> Float[Tensor, "b t"]:
        """Log pi - log pi_anchor of each response token."""
        return current.logp_tok - self.anchor_logp(batch)


class StatelessObjective(Objective[State], ABC):
    """An objective that remembers nothing from update to update."""

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, seen: Mapping[str, float]) -> State:
        """Nothing changes."""
        return state


class Aggregation(Part, ABC):
    """``aggregation``: from a loss per token to the loss."""

    @abstractmethod
    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """What this piece adds to the loss of its minibatch, which ``whole`` counts."""


class Preference(Part, ABC):
    """``preference``: the loss on pairs, from log-probabilities of whole answers; offline runs only.

    ``needs_reward``: whether it reads ``PairBatch.reward``. ``sorts``: whether it is a ``TriagedPreference``. Axis
    ``a``: the chosen answer, then the rejected one.
    """

    needs_reward: ClassVar[bool] = False
    sorts: ClassVar[bool] = False

    def weigh(self, batch: PairBatch) -> Float[Tensor, "b a"] | None:
        """``PairBatch.weight``, from the whole batch before it is cut; None, as here, where the loss has none."""
        return None

    @abstractmethod
    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """Loss of each pair (minimised), not yet averaged."""

    def as_read(self, log_ratio: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b a"]:
        """``log_ratio`` as the loss reads it: summed over an answer's tokens, as here."""
        return log_ratio

    @abstractmethod
    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """The reward whose optimum the policy is, up to a constant of the prompt; log_ratio is ``as_read``."""

    def clipped_pair(self, log_ratio: Float[Tensor, "b a"]) -> Bool[Tensor, "b"]:
        """Where a bound of the loss stops a pair's gradient; nowhere, as here, where the loss has no bound."""
        return torch.zeros_like(log_ratio[:, 0], dtype=torch.bool)
