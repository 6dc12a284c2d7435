"""Every response token weighs the same, so that a long response weighs more than a short one.

    L = sum_it m_it l_it / sum_it m_it      over the whole minibatch, however it is cut for accumulation

Ref: Yu et al. 2025 (DAPO), arXiv 2503.14476, section 3.3.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Aggregation
from safelab.maths.masked import masked_sum
from safelab.types import Counts


class TokenMean(Aggregation):
    """Nothing to choose."""

    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """Sum over the tokens of this piece, over the tokens of the minibatch."""
        return masked_sum(loss_tok, mask) / whole.tokens
