"""KL-Cov: unbounded importance weights, and a pull to the old policy on the tokens of greatest covariance.

    cov_t = (A_t - mean A)(logp_t - mean logp)
    loss_t = -A r + k |logp - logp_anchor|   for the top share by cov,    -A r   for the others

Ref: Cui et al. 2025, arXiv 2505.22617, eq. 14 and 15; authors' code PRIME-RL/Entropy-Mechanism-of-RL.
"""

from functools import partial
from typing import Annotated

import torch
from pydantic import Field

from safelab.contracts import Context, Need
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.ratios import covariance_tok
from safelab.parts.objective._common import ObjectiveOptions, Stateless, beyond_limit, log_ratio
from safelab.types import Current, PolicyLoss, TrainBatch

NEEDS: frozenset[Need] = frozenset({"rollout_logp", "old_logp", "whole_minibatch"})


class Options(ObjectiveOptions):
    """``share``: of the minibatch's tokens, at least one. ``pull``: k."""

    share: Annotated[float, Field(gt=0, le=1)]
    pull: Annotated[float, Field(gt=0)]


def build(options: Options, context: Context) -> Stateless:
    """The objective."""
    return Stateless(options=options, needs=NEEDS, compute=partial(loss, options))


def loss(options: Options, current: Current, batch: TrainBatch) -> PolicyLoss:
    """Loss of each token."""
    log_ratio_tok = log_ratio(options.anchor, current, batch)
    cov = covariance_tok(batch.advantage_tok, current.logp_tok.detach(), batch.mask)
    count = max(1, int(options.share * int(batch.mask.sum())))
    top = torch.topk(cov.masked_fill(~batch.mask, -torch.inf).flatten(), count).indices
    pulled = torch.zeros(cov.numel(), dtype=torch.bool, device=cov.device).index_fill(0, top, True).view_as(cov)
    surrogate = -batch.advantage_tok * clamp_log_ratio(log_ratio_tok).exp()
    return PolicyLoss(
        loss_tok=torch.where(pulled, surrogate + options.pull * log_ratio_tok.abs(), surrogate),
        clipped_tok=beyond_limit(log_ratio_tok, batch.advantage_tok),
        metrics_tok={"covariance": cov, "pulled": pulled.float()},
    )
