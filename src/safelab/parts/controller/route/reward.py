"""kl_coef * k1 is subtracted from each token's reward, so that the returns see what a token does to later states.

Ref: Ziegler et al. 2019, arXiv 1909.08593, eq. 2.
"""

from typing import ClassVar

from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k1


class InReward(Route):
    """The log-ratio of the policy that wrote the rollout."""

    in_reward: ClassVar[bool] = True

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k1."""
        return k1(log_ratio_ref_tok)
