"""GRPO-Guard for tokens: PPO's clip on log-ratios that have one mean and one spread at each position. An analogue.

    l_hat_it = (l_it - m_p) (s + eps) / (s_p + eps),    l = logp - logp_anchor
    loss_it  = w_p max(-A r_hat, -A clip(r_hat, 1 - low, 1 + high)),   r_hat = exp(l_hat),   w_p = N / (P n_p)

m_p, s_p: mean and deviation of l over the minibatch's n_p tokens at position p, s their common deviation, N tokens at P
positions; all without gradient. A position with one token keeps l. The original is for flow matching, where a step's
log-ratio is Gaussian with a mean and a deviation that are known:

    l_hat = sigma sqrt(dt) (l + |dmu|^2 / (2 sigma^2 dt)) = |dmu| (l - mean l) / deviation l

Ref: GRPO-Guard, arXiv 2510.22319; the form for tokens is ours.
"""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Need, StatelessObjective
from safelab.maths.masked import only
from safelab.maths.positions import position_weight, positions, regulated
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class GrpoGuard(StatelessObjective):
    """``clip_range``, ``clip_range_high``: as ``ppo_clip``. ``bucket``: tokens that count as one position.

    ``eps``: nats, beside a position's deviation.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "whole_minibatch", "moved_ratio"})

    clip_range: Annotated[float, Field(gt=0, lt=1)]
    clip_range_high: Annotated[float, Field(gt=0)] | None
    bucket: Annotated[int, Field(ge=1)]
    eps: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        raw_tok = self.log_ratio(current, batch)
        even_tok = regulated(raw_tok, batch.mask, self.bucket, self.eps)
        high = self.clip_range if self.clip_range_high is None else self.clip_range_high
        bounded = (even_tok, batch.advantage_tok, self.clip_range, high, None)
        clipped_tok = ppo_clipped_tok(*bounded)
        return PolicyLoss(
            loss_tok=position_weight(batch.mask, self.bucket) * ppo_clip_tok(*bounded),
            clipped_tok=clipped_tok,
            metrics_tok={
                **self._evenness("before", raw_tok, batch.mask),
                **self._evenness("after", even_tok, batch.mask),
                "clipped_gain": share_tok(clipped_tok, batch.advantage_tok > 0, batch.mask),
                "clipped_loss": share_tok(clipped_tok, batch.advantage_tok < 0, batch.mask),
            },
        )

    def _evenness(self, when: str, x_tok: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """How far each position's mean lies from 0, and its deviation, where it has one, from the common one; nats."""
        found = positions(x_tok, mask, self.bucket)
        uneven = only((found.deviation - found.common).abs(), found.count > 1)
        return {
            f"offset_{when}": found.mean.abs().expand_as(mask),
            f"unevenness_{when}": uneven.expand_as(mask),
        }


def share_tok(
    found: Bool[Tensor, "b t"], among: Bool[Tensor, "b t"], mask: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t"]:
    """What has as its mean over the response tokens the share of ``among`` them that are ``found``; 0 where none is."""
    of = (among & mask).sum().clamp(min=1)
    return torch.where(found & among, mask.sum() / of, torch.zeros_like(of, dtype=torch.float32))
