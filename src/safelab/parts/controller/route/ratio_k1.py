"""k1 under the importance ratio, in the loss: grad KL(policy, reference), off-policy too."""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import ratio_k1


class RatioK1(Route):
    """See ``maths.divergence.ratio_k1``."""

    in_loss: ClassVar[bool] = True

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """R sg(k1)."""
        return ratio_k1(log_ratio_ref_tok, log_ratio_tok)
