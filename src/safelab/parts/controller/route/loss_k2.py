"""k2 in the loss: on-policy its expected gradient is grad KL(policy, reference)."""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k2


class LossK2(Route):
    """Half the squared log-ratio."""

    in_loss: ClassVar[bool] = True

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k2."""
        return k2(log_ratio_ref_tok)
