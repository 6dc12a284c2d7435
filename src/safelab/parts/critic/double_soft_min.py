"""SAFE's critic: several heads, merged by a soft minimum.

    V_soft = -a (logsumexp_i(-V_i / a) - log h)

a -> 0 gives the minimum, a -> infinity the mean; equal heads give their common value.
Ref: SAFE, arXiv 2602.04651 (with two heads and a = 0.3 in the released code).
"""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context
from safelab.maths.soft_min import soft_min
from safelab.parts.critic._value_heads import HeadCritic, HeadOptions


class Options(HeadOptions):
    """``train_heads``: ``joint`` regresses the soft minimum (released), ``each`` every head on its own."""

    heads: Annotated[int, Field(ge=2)]
    soft_min_temperature: Annotated[float, Field(gt=0)]
    train_heads: Literal["joint", "each"]


def build(options: Options, context: Context) -> HeadCritic:
    """Heads that differ by their initial weights only."""
    combine = partial(soft_min, temperature=options.soft_min_temperature)
    return HeadCritic(options, context, options.heads, options.train_heads == "joint", combine)
