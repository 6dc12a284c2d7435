"""KL-Cov: unbounded importance weights, and a pull to the old policy on the tokens of greatest covariance.

    cov_t = (A_t - mean A)(logp_t - mean logp)
    loss_t = -A r + k |logp - logp_anchor|   for the top share by cov,    -A r   for the others

Ref: Cui et al. 2025, arXiv 2505.22617, eq. 14 and 15; authors' code PRIME-RL/Entropy-Mechanism-of-RL.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.ratios import covariance_tok
from safelab.maths.surrogate import beyond_limit_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class KlCov(StatelessObjective):
    """``share``: of the minibatch's tokens, at least one. ``pull``: k."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "whole_minibatch"})

    share: Annotated[float, Field(gt=0, le=1)]
    pull: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio_tok = self.log_ratio(current, batch)
        cov = covariance_tok(batch.advantage_tok, current.logp_tok.detach(), batch.mask)
        count = max(1, int(self.share * int(batch.mask.sum())))
        top = torch.topk(cov.masked_fill(~batch.mask, -torch.inf).flatten(), count).indices
        pulled = torch.zeros(cov.numel(), dtype=torch.bool, device=cov.device).index_fill(0, top, True).view_as(cov)
        surrogate = -batch.advantage_tok * clamp_log_ratio(log_ratio_tok).exp()
        return PolicyLoss(
            loss_tok=torch.where(pulled, surrogate + self.pull * log_ratio_tok.abs(), surrogate),
            clipped_tok=beyond_limit_tok(log_ratio_tok, batch.advantage_tok),
            metrics_tok={"covariance": cov, "pulled": pulled.float()},
        )
