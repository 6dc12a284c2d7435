"""PPO's clipped surrogate.

    loss_t = max(-A r, -A clip(r, 1 - low, 1 + high)),   r = exp(logp - logp_anchor)

With ``dual_clip`` c, the loss of a token with A < 0 is at most -c A.
Ref: Schulman et al. 2017, arXiv 1707.06347, eq. 7; dual clip: Ye et al. 2020, arXiv 1912.09729, eq. 5; a wider upper
bound (clip-higher): Yu et al. 2025 (DAPO), arXiv 2503.14476, section 3.1.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class PpoClip(StatelessObjective):
    """``clip_range``: the ratio may fall by it; ``clip_range_high``: rise by it, null for the same.

    ``dual_clip``: null for none.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    clip_range: Annotated[float, Field(gt=0, lt=1)]
    clip_range_high: Annotated[float, Field(gt=0)] | None
    dual_clip: Annotated[float, Field(gt=1)] | None

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        low = self.clip_range
        high = low if self.clip_range_high is None else self.clip_range_high
        bounded = (self.log_ratio(current, batch), batch.advantage_tok, low, high, self.dual_clip)
        return PolicyLoss(loss_tok=ppo_clip_tok(*bounded), clipped_tok=ppo_clipped_tok(*bounded))
