"""PPO's clipped surrogate.

    loss_t = max(-A ratio, -A clip(ratio, 1 - low, 1 + high)),   ratio = exp(logp - logp_old)

With ``dual_clip`` c, the loss of a token with A < 0 is at most -c A.
Ref: Schulman et al. 2017, arXiv 1707.06347, eq. 7; dual clip: Ye et al. 2020, arXiv 1912.09729, eq. 5.
"""

from typing import Annotated, Literal

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import Options as BaseOptions
from safelab.types import TrainBatch


class Options(BaseOptions):
    """``clip_range``: the ratio may fall by it; ``clip_range_high``: rise by it, null for the same.

    ``entropy_coef`` multiplies the mean entropy (nats per token) that is subtracted from the loss, averaged over
    ``entropy_positions``: the response, or all columns with their padding (as SAFE's released code).
    """

    name: str
    clip_range: Annotated[float, Field(gt=0, lt=1)]
    clip_range_high: Annotated[float, Field(gt=0)] | None
    dual_clip: Annotated[float, Field(gt=1)] | None
    entropy_coef: Annotated[float, Field(ge=0)]
    entropy_positions: Literal["response", "all"]


def build(options: Options, context: Context) -> "PpoClip":
    """The objective; it holds no state."""
    return PpoClip(options)


class PpoClip:
    """``contracts.Objective``."""

    def __init__(self, options: Options) -> None:
        self.entropy_coef = options.entropy_coef
        self.entropy_positions = options.entropy_positions
        self._low = options.clip_range
        self._high = options.clip_range if options.clip_range_high is None else options.clip_range_high
        self._dual = options.dual_clip

    def loss_tok(self, logp_tok: Float[Tensor, "b t"], batch: TrainBatch) -> Float[Tensor, "b t"]:
        """Loss of each token."""
        return ppo_clip_tok(logp_tok - batch.logp_old_tok, batch.advantage_tok, self._low, self._high, self._dual)

    def clipped_tok(self, logp_tok: Float[Tensor, "b t"], batch: TrainBatch) -> Bool[Tensor, "b t"]:
        """Tokens that the bounds keep from the gradient."""
        return ppo_clipped_tok(logp_tok - batch.logp_old_tok, batch.advantage_tok, self._low, self._high, self._dual)
