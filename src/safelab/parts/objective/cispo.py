"""CISPO: REINFORCE whose importance weights are clipped, so that no token loses its gradient.

    loss_t = - sg(clip(r, 1 - low, 1 + high)) A log p,   r = exp(logp - logp_anchor)

``clip_range: null`` bounds the weight only above (TRL); a number gives it both bounds (verl).
Ref: MiniMax-M1, arXiv 2506.13585, eq. 4.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class Cispo(StatelessObjective):
    """``clip_range``: the weight may fall by it, null for no lower bound; ``clip_range_high``: rise by it."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    clip_range: Annotated[float, Field(gt=0, le=1)] | None
    clip_range_high: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        low = 0.0 if self.clip_range is None else 1 - self.clip_range
        ratio = clamp_log_ratio(self.log_ratio(current, batch).detach()).exp()
        weight = ratio.clamp(low, 1 + self.clip_range_high)
        return PolicyLoss(
            loss_tok=-weight * batch.advantage_tok * current.logp_tok,
            metrics_tok={"weight": weight, "weight_clipped": (weight != ratio).float()},
        )
