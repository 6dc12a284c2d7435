"""k1 in the loss, as SAFE's released PPO baseline has it: E[grad log p] = 0, so it only adds noise.

Ref: Tang and Munos, "On a few pitfalls in KL divergence gradient estimation for RL" (2025).
"""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k1


class LossK1(Route):
    """The log-ratio itself; to be studied, not used."""

    in_loss: ClassVar[bool] = True
    known_bad: ClassVar[str | None] = (
        "its expected gradient is zero on-policy, so it controls nothing; use loss_exact, loss_k2, ratio_k1 or reward"
    )

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k1."""
        return k1(log_ratio_ref_tok)
