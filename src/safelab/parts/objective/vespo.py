"""VESPO: REINFORCE whose responses are weighted by a bounded function of the whole response's ratio.

    W_i = prod_t pi / mu,   loss_it = - sg(phi(W_i)) A_i log p_it,   phi(W) = W^k exp(lam (1 - W))
    one pair (k, lam) where A >= 0, another where A < 0

W is a product and no mean: a response of 1,000 tokens that each lost 0.01 nats has W = 4.5e-5, and falls silent.
Ref: arXiv 2602.10693; the authors' code FloyedShen/VESPO, whose docstring names other numbers than the code uses.
"""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import LOG_RATIO_LIMIT
from safelab.maths.masked import only
from safelab.maths.weighting import gamma_weight
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch

SILENT = 0.01
"""The log counts responses with less weight than this."""


class Vespo(StatelessObjective):
    """``power_gain``, ``decay_gain``: k and lam where A >= 0; ``..._loss``: where A < 0. ``ratio_floor``: least W."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "sequence_advantage"})

    power_gain: Annotated[float, Field(gt=0)]
    decay_gain: Annotated[float, Field(gt=0)]
    power_loss: Annotated[float, Field(gt=0)]
    decay_loss: Annotated[float, Field(gt=0)]
    ratio_floor: Annotated[float, Field(gt=0, lt=1)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token; all tokens of a response have one weight."""
        log_ratio_seq = only(self.log_ratio(current, batch).detach(), batch.mask).sum(dim=1)
        log_ratio_seq = log_ratio_seq.clamp(math.log(self.ratio_floor), LOG_RATIO_LIMIT)
        gains = batch.advantage_seq >= 0
        weight_seq = torch.where(
            gains,
            gamma_weight(log_ratio_seq, self.power_gain, self.decay_gain),
            gamma_weight(log_ratio_seq, self.power_loss, self.decay_loss),
        )
        return PolicyLoss(
            loss_tok=-weight_seq.unsqueeze(1) * batch.advantage_tok * current.logp_tok,
            metrics_seq={
                "response_weight": weight_seq,
                "response_weight_gain": weight_seq * gains,
                "response_gain_share": gains.float(),
                "silent": (weight_seq < SILENT).float(),
                "sequence_log_ratio": log_ratio_seq,
            },
        )
