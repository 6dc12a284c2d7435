"""What every objective has: the entropy bonus, the anchor of its ratio, and most of them no memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import EntropyPositions, Need
from safelab.maths.divergence import LOG_RATIO_LIMIT
from safelab.options import Options, State
from safelab.types import Current, PolicyLoss, TrainBatch

Anchor = Literal["rollout", "old"]


class ObjectiveOptions(Options):
    """``anchor``: whose log-probabilities the ratio is taken to; they differ only where the rollout is stale.

    ``rollout``: the policy that sampled; ``old``: the one before this update. ``entropy_coef`` multiplies the mean
    entropy (nats per token) that is subtracted from the loss, averaged over ``entropy_positions``: the response, or
    all columns with their padding (as SAFE's released code).
    """

    name: str
    anchor: Anchor
    entropy_coef: Annotated[float, Field(ge=0)]
    entropy_positions: EntropyPositions


@dataclass(frozen=True, slots=True, kw_only=True)
class Stateless:
    """``contracts.Objective`` that remembers nothing from update to update."""

    options: ObjectiveOptions
    needs: frozenset[Need]
    compute: Callable[[Current, TrainBatch], PolicyLoss]

    @property
    def entropy_coef(self) -> float:
        """Weight of the entropy bonus."""
        return self.options.entropy_coef

    @property
    def entropy_positions(self) -> EntropyPositions:
        """Where the entropy is averaged."""
        return self.options.entropy_positions

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, seen: Mapping[str, float]) -> State:
        """Nothing changes."""
        return state

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        return self.compute(current, batch)


def anchor_logp(anchor: Anchor, batch: TrainBatch) -> Float[Tensor, "b t"]:
    """The anchor's log-probability of each response token, without gradient."""
    return batch.logp_rollout_tok if anchor == "rollout" else batch.logp_old_tok


def log_ratio(anchor: Anchor, current: Current, batch: TrainBatch) -> Float[Tensor, "b t"]:
    """Log pi - log pi_anchor of each response token."""
    return current.logp_tok - anchor_logp(anchor, batch)


def sequence_advantage(batch: TrainBatch) -> Float[Tensor, "b"]:
    """One advantage per response, where every token bears the same: that of its first."""
    return batch.advantage_tok[:, 0]


def beyond_limit(log_ratio_tok: Float[Tensor, "b t"], advantage_tok: Float[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Tokens with an advantage whose log ratio is cut at +-20 nats, which stops their gradient."""
    return (advantage_tok != 0) & (log_ratio_tok.abs() > LOG_RATIO_LIMIT)


def never(batch: TrainBatch) -> Bool[Tensor, "b t"]:
    """No token loses its gradient."""
    return torch.zeros_like(batch.mask)
