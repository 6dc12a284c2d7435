"""Sums over tokens, divided by a constant: the gradient of a token depends on no response's length.

    L = mean_i ( sum_t m_it l_it ) / length

``length: 1`` is the loss of whole responses (RLOO, DAR); the longest response that can be is Dr. GRPO's constant.
Ref: Liu et al. 2025 (Dr. GRPO), arXiv 2503.20783, section 3.2.
"""

from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context
from safelab.maths.masked import masked_sum
from safelab.options import Options as BaseOptions
from safelab.types import Counts


class Options(BaseOptions):
    """``length``: the constant, in tokens."""

    name: str
    length: Annotated[int, Field(ge=1)]


def build(options: Options, context: Context) -> "SequenceSum":
    """The aggregation; it holds no state."""
    return SequenceSum(options.length)


class SequenceSum:
    """``contracts.Aggregation``."""

    def __init__(self, length: int) -> None:
        self._length = length

    def reduce(self, loss_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"], whole: Counts) -> Float[Tensor, ""]:
        """Sum over the tokens of this piece, over the responses of the minibatch times the constant."""
        return masked_sum(loss_tok, mask) / (whole.sequences * self._length)
