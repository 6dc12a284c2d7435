"""Variational alignment: a likelihood weighted with the optimum of RLHF. Reads rewards of the answers, not the labels.

    w_i = pi_ref(y_i | x) exp(R_i / beta) / sum_j pi_ref(y_j | x) exp(R_j / beta),   loss = -sum_i w_i log pi(y_i | x)

The sum runs over the pair, or over all answers of the batch; the weights of the batch add up to its number of pairs
either way, so that equal rewards weigh 1/2 each. ``pi_ref`` is left out where ``include_ref_prob`` is false: answers
that were sampled from it bring it along already.
Deviation: paper and code were not at hand. What Z runs over, whether w keeps pi_ref, beta, and that log pi is summed
over an answer's tokens instead of averaged are inferred.
Ref: VAR, arXiv 2502.11026.
"""

from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Preference
from safelab.maths.weighting import boltzmann_weight
from safelab.types import PairBatch


class Var(Preference):
    """``beta``: units of the reward. ``normalise_over``: what Z sums. ``include_ref_prob``: whether w has pi_ref."""

    needs_reward: ClassVar[bool] = True

    beta: Annotated[float, Field(gt=0)]
    normalise_over: Literal["pair", "batch"]
    include_ref_prob: bool

    def weigh(self, batch: PairBatch) -> Float[Tensor, "b a"]:
        """The weight of each answer."""
        assert batch.reward is not None
        beta, log_prior = self.beta, batch.logp_ref if self.include_ref_prob else None
        if self.normalise_over == "pair":
            return boltzmann_weight(batch.reward, beta, log_prior)
        flat = boltzmann_weight(batch.reward.flatten(), beta, None if log_prior is None else log_prior.flatten())
        return len(batch) * flat.view_as(batch.reward)

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The weighted negative log-likelihood of both answers."""
        assert batch.weight is not None
        return -(batch.weight * logp).sum(dim=-1)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``: of the optimum that the weights stand for."""
        return self.beta * log_ratio
