"""No critic: for advantages that compare responses with each other instead of with a value."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from safelab.contracts import Context, Critic, Part


class NoCritic(Part):
    """Nothing to choose."""

    def build(self, context: Context) -> Critic:
        """The absent critic."""
        return Absent()


class Absent(Critic):
    """A critic without weights: it gives no values, v = 0, and has no loss."""

    def __init__(self) -> None:
        self.module = nn.Module()
        self.target = None
        self.grain = None
        self.coef = 0.0
        self.warmup_updates = 0

    def heads(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """Nothing, one head of it."""
        return torch.zeros(len(hidden), 0, 1, device=hidden.device)

    def bootstrap(self, hidden: Float[Tensor, "b t1 d"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b v h"]:
        """Nothing."""
        return self.heads(hidden, mask)

    def combine(self, heads: Float[Tensor, "b v h"]) -> Float[Tensor, "b v"]:
        """Nothing."""
        return heads[..., 0]

    def loss(
        self, heads: Float[Tensor, "b v h"], heads_old: Float[Tensor, "b v h"], returns: Float[Tensor, "b v"]
    ) -> Float[Tensor, "b v"]:
        """Nothing: the loss of a run without values has no such term."""
        return self.combine(heads)

    def after_step(self) -> None:
        """There is no target to move."""
