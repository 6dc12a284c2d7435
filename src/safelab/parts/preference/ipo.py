"""Identity preference optimisation: a margin that is wanted instead of one that cannot be large enough.

    loss = (h - 1 / (2 beta))^2,   h = margin of log pi - log pi_ref, summed over an answer's tokens or averaged

Where labels agree without exception, DPO's optimum is infinitely far from the reference; this one's is not.
Ref: Azar et al. 2023, arXiv 2310.12036, equation 17 (its tau is beta here), which sums; TRL averages, and says that the
authors have confirmed it.
"""

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Preference
from safelab.maths.preference import margin, squared_loss
from safelab.types import PairBatch


class Ipo(Preference):
    """``beta``: the margin of log-ratios that is wanted is 1 / (2 beta) nats, or nats per token.

    ``over``: ``sum`` over an answer's tokens, or their ``token_mean``, so that length does not count.
    """

    beta: Annotated[float, Field(gt=0)]
    over: Literal["sum", "token_mean"]

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The squared distance of the margin from what is wanted."""
        return squared_loss(margin(self.as_read(logp - batch.logp_ref, batch)), self.beta)

    def as_read(self, log_ratio: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b a"]:
        """The sum, or the mean over each answer's tokens."""
        return log_ratio if self.over == "sum" else log_ratio / batch.mask.sum(dim=-1)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``; the margin that is wanted of it is 1/2."""
        return self.beta * log_ratio
