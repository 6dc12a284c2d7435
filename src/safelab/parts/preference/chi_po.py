"""DPO with the link of a chi-squared and a KL penalty together, against over-optimisation.

    phi(z) = z + log z,  z = pi / pi_ref;   m = beta (phi(z_chosen) - phi(z_rejected))
    loss = -log sigmoid(clip(m, -2 R_max, 2 R_max))

Beyond the clip a pair has no gradient; ``preference/clip_fraction`` says how many are there.
Ref: Huang et al. 2024, arXiv 2407.13399. No official code was found; ``reward_max`` and the cut of log z are inferred.
"""

from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Preference
from safelab.maths.preference import chi_link, clip_margin, logistic_loss, margin, margin_is_clipped
from safelab.types import PairBatch


class ChiPo(Preference):
    """``beta``: units of reward per unit of the link. ``reward_max``: R_max, rewards are within +- this."""

    beta: Annotated[float, Field(gt=0)]
    reward_max: Annotated[float, Field(gt=0)]

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The logistic loss of the implied reward's clipped margin."""
        reward_margin = margin(self.implied_reward(logp - batch.logp_ref))
        return logistic_loss(clip_margin(reward_margin, self.reward_max), 0.0)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta phi(z)``."""
        return self.beta * chi_link(log_ratio)

    def clipped_pair(self, log_ratio: Float[Tensor, "b a"]) -> Bool[Tensor, "b"]:
        """Pairs beyond the clip."""
        return margin_is_clipped(margin(self.implied_reward(log_ratio)), self.reward_max)
