"""GSPO: one ratio per response, the geometric mean of its tokens', clipped as a whole.

    s_i = exp( mean_t (logp - logp_anchor) ),   loss_it = max(-A s_it, -A clip(s_it, 1 - low, 1 + high))
    s_it = sg(s_i) exp(logp_it - sg(logp_it))       the same value, with the token's own gradient

Meant to be averaged per response (``aggregation=sequence_mean``); under ``sequence_sum`` of length 1 it is LUSPO.
Ref: Zheng et al. 2025, arXiv 2507.18071, eq. 5, 14; LUSPO: arXiv 2602.05261.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.ratios import sequence_log_ratio
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import State
from safelab.types import Current, Grain, PolicyLoss, TrainBatch


class Gspo(StatelessObjective):
    """``clip_range``, ``clip_range_high``: how far the response's ratio may fall and rise."""

    ratio_grain: ClassVar[Grain] = "sequence"
    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    clip_range: Annotated[float, Field(gt=0, lt=1)]
    clip_range_high: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token; a response whose ratio is out of bounds keeps its loss and loses its gradient."""
        log_seq = sequence_log_ratio(self.log_ratio(current, batch), batch.mask).detach().unsqueeze(1)
        log_tok = log_seq + current.logp_tok - current.logp_tok.detach()
        bounded = (log_tok, batch.advantage_tok, self.clip_range, self.clip_range_high, None)
        return PolicyLoss(
            loss_tok=ppo_clip_tok(*bounded),
            clipped_tok=ppo_clipped_tok(*bounded),
            metrics_tok={"sequence_ratio": clamp_log_ratio(log_tok.detach()).exp()},
        )
