"""What both running normalisers share: tensors outside, floats inside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.maths.normalise import RunningState
from safelab.options import State

Step = Callable[[RunningState, Sequence[float], float], tuple[RunningState, list[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A ``Normaliser`` over mean and variance of all rewards so far."""

    start: RunningState
    advance: Step
    eps: float

    def init(self) -> RunningState:
        """State before any reward was seen."""
        return self.start

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[RunningState, Float[Tensor, "b"]]:
        """Next state and normalised rewards; computed in float64."""
        after, scaled = self.advance(cast(RunningState, state), reward_seq.tolist(), self.eps)
        return after, torch.tensor(scaled, dtype=reward_seq.dtype, device=reward_seq.device)
