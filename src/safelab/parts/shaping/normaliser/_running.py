"""What both running normalisers share: tensors outside, floats inside."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Normaliser
from safelab.maths.normalise import RunningState


class Running(Normaliser[RunningState], ABC):
    """Mean and variance of all rewards so far. ``eps`` keeps the divisor from 0."""

    eps: Annotated[float, Field(gt=0)]

    @abstractmethod
    def advance(self, state: RunningState, rewards: Sequence[float]) -> tuple[RunningState, list[float]]:
        """Next state and normalised rewards, in float64."""

    def step(self, state: RunningState, reward_seq: Float[Tensor, "b"]) -> tuple[RunningState, Float[Tensor, "b"]]:
        """Next state and normalised rewards; computed in float64."""
        after, scaled = self.advance(state, reward_seq.tolist())
        return after, torch.tensor(scaled, dtype=reward_seq.dtype, device=reward_seq.device)
