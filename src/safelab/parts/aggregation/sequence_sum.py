"""Sums over tokens, divided by a constant: the gradient of a token depends on no response's length.

    L = mean_i ( sum_t m_it l_it ) / length

``length: 1`` is the loss of whole responses (RLOO, DAR); the longest response that can be is Dr. GRPO's constant.
Ref: Liu et al. 2025 (Dr. GRPO), arXiv 2503.20783, section 3.2.
"""

from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Aggregation
from safelab.maths.masked import masked_sum
from safelab.types import Counts


class SequenceSum(Aggregation):
    """``length``: the constant, in tokens."""

    length: Annotated[int, Field(ge=1)]

    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """Sum over the tokens of this piece, over the responses of the minibatch times the constant."""
        return masked_sum(loss_tok, mask) / (whole.sequences * self.length)
