"""One value head: V(s) = head(h_s)."""

from jaxtyping import Float
from torch import Tensor

from safelab.contracts import Context, Critic
from safelab.parts.critic._value_heads import HeadCritic, HeadOptions


class Single(HeadOptions):
    """See ``HeadOptions``."""

    def build(self, context: Context) -> Critic:
        """The head."""
        return HeadCritic(self, context, count=1, joint=True)

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """The value of the single head."""
        return heads[..., 0]
