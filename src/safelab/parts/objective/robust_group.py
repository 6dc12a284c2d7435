"""FRPO: low rewards of a group weigh exponentially more, so that reward survives a later change of the policy.

    loss_i = c (log mean_g(w s) - s_i),  w_i = exp(-A_i / risk),  s_i = mean_t min(r_it, clip(r_it, 1 - e, 1 + e))

See ``maths.entropic``. Every token of a response bears the response's loss, of which ``aggregation=sequence_mean``
makes the mean over responses; it refuses another. Wants advantages A_i = R_i - mean_g R.
Ref: arXiv 2602.08813; authors' code Helloworld10011/FRPO.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import LOG_RATIO_LIMIT, clamp_log_ratio
from safelab.maths.entropic import robust_loss_seq
from safelab.maths.groups import group_softmax
from safelab.maths.masked import sequence_mean
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class RobustGroup(StatelessObjective):
    """``clip_range``: e, of which only the upper side can act. ``risk``: in units of the reward.

    ``jackknife``: corrects the bias that the logarithm of a mean over few responses has.
    """

    needs: ClassVar[frozenset[Need]] = frozenset(
        {"rollout_logp", "old_logp", "groups", "whole_groups", "sequence_mean", "sequence_advantage"}
    )
    own_loss: ClassVar[bool] = False  # its group's responses share one loss
    pushes_down: ClassVar[bool] = False

    clip_range: Annotated[float, Field(gt=0, lt=1)]
    risk: Annotated[float, Field(gt=0)]
    jackknife: bool

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token: its response's."""
        log_ratio_tok = self.log_ratio(current, batch)
        ratio_tok = clamp_log_ratio(log_ratio_tok).exp()
        bounded_tok = torch.minimum(ratio_tok, ratio_tok.clamp(1 - self.clip_range, 1 + self.clip_range))
        advantage_seq = batch.advantage_seq
        loss_seq = robust_loss_seq(
            sequence_mean(bounded_tok, batch.mask), advantage_seq, batch.group_seq, self.risk, self.jackknife
        )
        share_seq = group_softmax(-advantage_seq / self.risk, batch.group_seq)
        return PolicyLoss(
            loss_tok=loss_seq.unsqueeze(1).expand_as(ratio_tok),
            clipped_tok=(ratio_tok > 1 + self.clip_range) | (log_ratio_tok.abs() > LOG_RATIO_LIMIT),
            metrics_tok={"group_share": share_seq.unsqueeze(1).expand_as(ratio_tok)},
        )
