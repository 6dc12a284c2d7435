"""MinPRO: a token's weight is its ratio times the smallest ratio before it, clipped softly.

    loss_t = - sg(clip(m_t r_t, 1 - low, 1 + high)) A log p,   m_t = min_{s<t} r_s,  m_1 = 1

The exact correction of stale data is the product of all ratios before a token, which explodes or vanishes.
Ref: arXiv 2601.22718, its objective as quoted (the token itself left out, token mean); the bounds are not verified.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.ratios import prefix_min
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class MinPrefixRatio(StatelessObjective):
    """``clip_range``, ``clip_range_high``: how far the weight may be from 1. ``prefix``: whether m_t takes in r_t."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    clip_range: Annotated[float, Field(gt=0, le=1)]
    clip_range_high: Annotated[float, Field(gt=0)]
    prefix: Literal["exclusive", "inclusive"]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token; none loses its gradient."""
        log_ratio_tok = clamp_log_ratio(self.log_ratio(current, batch).detach())
        least = prefix_min(log_ratio_tok, batch.mask, self.prefix == "inclusive")
        ratio = clamp_log_ratio(least + log_ratio_tok).exp()
        weight = ratio.clamp(1 - self.clip_range, 1 + self.clip_range_high)
        return PolicyLoss(
            loss_tok=-weight * batch.advantage_tok * current.logp_tok,
            metrics_tok={"weight": weight, "weight_clipped": (weight != ratio).float(), "prefix_ratio": least.exp()},
        )
