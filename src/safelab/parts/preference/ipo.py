"""Identity preference optimisation: a margin that is wanted instead of one that cannot be large enough.

    loss = (h - 1 / (2 beta))^2,   h = margin of log pi - log pi_ref, summed over an answer's tokens

Where labels agree without exception, DPO's optimum is infinitely far from the reference; this one's is not.
Ref: Azar et al. 2023, arXiv 2310.12036, equation 17 (its tau is beta here).
"""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Preference
from safelab.maths.preference import margin, squared_loss
from safelab.types import PairBatch


class Ipo(Preference):
    """``beta``: the margin of log-ratios that is wanted is 1 / (2 beta) nats."""

    beta: Annotated[float, Field(gt=0)]

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The squared distance of the margin from what is wanted."""
        return squared_loss(margin(logp - batch.logp_ref), self.beta)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``; the margin that is wanted of it is 1/2."""
        return self.beta * log_ratio
