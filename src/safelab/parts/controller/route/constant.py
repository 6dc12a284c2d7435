"""The penalty is a number beside the loss: it has a value and no gradient, so it reaches no weight.

Ref: SAFE's released trainer, which computes its penalty from a Python float.
"""

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k1


class Constant(Route):
    """Logged only."""

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k1, for the log."""
        return k1(log_ratio_ref_tok)
