"""k3 in the loss: on-policy its expected gradient is that of KL(reference, policy), the other direction.

Ref: DeepSeekMath (GRPO), arXiv 2402.03300, eq. 4.
"""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k3


class LossK3(Route):
    """The estimator that is unbiased and never negative."""

    in_loss: ClassVar[bool] = True

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k3."""
        return k3(log_ratio_ref_tok)
