"""SAFE's critic: several heads, merged by a soft minimum.

    V_soft = -a (logsumexp_i(-V_i / a) - log h)

a -> 0 gives the minimum, a -> infinity the mean; equal heads give their common value.
Ref: SAFE, arXiv 2602.04651 (with two heads and a = 0.3 in the released code).
"""

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context, Critic
from safelab.maths.soft_min import soft_min
from safelab.parts.critic._value_heads import HeadCritic, HeadOptions


class DoubleSoftMin(HeadOptions):
    """``heads``: how many. ``train_heads``: ``joint`` regresses their soft minimum (released), ``each`` each alone."""

    heads: Annotated[int, Field(ge=2)]
    soft_min_temperature: Annotated[float, Field(gt=0)]
    train_heads: Literal["joint", "each"]

    def build(self, context: Context) -> Critic:
        """Heads that differ by their initial weights only."""
        return HeadCritic(self, context, count=self.heads, joint=self.train_heads == "joint")

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """Their soft minimum."""
        return soft_min(heads, temperature=self.soft_min_temperature)
