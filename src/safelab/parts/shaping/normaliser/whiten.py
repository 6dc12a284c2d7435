"""Whitening within the batch: each batch on its own scale, nothing remembered."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context
from safelab.maths.masked import masked_whiten
from safelab.options import Options as BaseOptions
from safelab.options import State


class Options(BaseOptions):
    """``shift_mean: false`` keeps the batch's mean; ``eps`` under the root, in the square of the reward's unit."""

    name: str
    eps: float = Field(gt=0)
    shift_mean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Whiten:
    """A ``Normaliser`` over ``maths.masked.masked_whiten``."""

    options: Options

    def init(self) -> State:
        """Nothing."""
        return State()

    def step(self, state: State, reward_seq: Float[Tensor, "b"]) -> tuple[State, Float[Tensor, "b"]]:
        """The batch with deviation 1."""
        everything = torch.ones_like(reward_seq, dtype=torch.bool)
        return state, masked_whiten(reward_seq, everything, self.options.eps, self.options.shift_mean)


def build(options: Options, context: Context) -> Whiten:
    """Batch whitening."""
    return Whiten(options=options)
