"""One value head."""

from jaxtyping import Float
from torch import Tensor

from safelab.contracts import Context
from safelab.parts.critic._value_heads import HeadCritic, HeadOptions


class Options(HeadOptions):
    """See ``HeadOptions``."""


def build(options: Options, context: Context) -> HeadCritic:
    """V(s) = head(h_s)."""
    return HeadCritic(options, context, count=1, joint=True, combine=only_head)


def only_head(heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
    """The value of the single head."""
    return heads[..., 0]
