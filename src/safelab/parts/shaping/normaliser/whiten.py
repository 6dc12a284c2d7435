"""Whitening within the batch: each batch on its own scale, nothing remembered."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Normaliser
from safelab.maths.masked import masked_whiten
from safelab.options import State


class Whiten(Normaliser[State]):
    """``shift_mean: false`` keeps the batch's mean; ``eps`` under the root, in the square of the reward's unit."""

    eps: Annotated[float, Field(gt=0)]
    shift_mean: bool

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[State, Float[Tensor, "b"]]:
        """The batch with deviation 1; see ``maths.masked.masked_whiten``."""
        everything = torch.ones_like(reward_seq, dtype=torch.bool)
        return state, masked_whiten(reward_seq, everything, self.eps, self.shift_mean)
