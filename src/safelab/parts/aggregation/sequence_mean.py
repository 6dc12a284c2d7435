"""Every response weighs the same: a token of a long response weighs less than one of a short response.

    L = mean_i ( sum_t m_it l_it / T_i )

Ref: Shao et al. 2024 (GRPO), arXiv 2402.03300, eq. 3.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Aggregation
from safelab.maths.masked import sequence_mean
from safelab.types import Counts


class SequenceMean(Aggregation):
    """Nothing to choose."""

    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """Sum over the responses of this piece of their token means, over the responses of the minibatch."""
        return sequence_mean(loss_tok, mask).sum() / whole.sequences
