"""DPPO: a token is blocked by how far its probability has moved, not by the ratio.

    loss_t = - M sg(min(r, c)) A log p,   r = pi / mu, mu the anchor's probability
    M = 0  where (A > 0 and pi > mu and D > high) or (A < 0 and pi < mu and D > low), else 1
    tv: D = |pi - mu|      kl: D = mu log(mu / pi) + (1 - mu) log((1 - mu) / (1 - pi))      no gradient through D

See ``maths.trust``; ``dppo_topk`` takes D over the likeliest tokens as well.
Ref: arXiv 2602.04879; authors' code sail-sg/Stable-RL, ``dppo_binary_tv`` and ``dppo_binary_kl``.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.trust import Kind, binary_divergence, blocked_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class Dppo(StatelessObjective):
    """``delta_low``, ``delta_high``: in probability for ``tv``, in nats for ``kl``. ``ratio_cap``: c."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    divergence: Kind
    delta_low: Annotated[float, Field(gt=0)]
    delta_high: Annotated[float, Field(gt=0)]
    ratio_cap: Annotated[float, Field(gt=1)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_mu = self.anchor_logp(batch)
        log_pi, advantage = current.logp_tok.detach(), batch.advantage_tok
        distance = binary_divergence(log_pi, log_mu, self.divergence)
        blocked = blocked_tok(advantage, log_pi, log_mu, distance, self.delta_low, self.delta_high)
        weight = clamp_log_ratio(log_pi - log_mu).exp().clamp(max=self.ratio_cap)
        return PolicyLoss(
            loss_tok=-weight.masked_fill(blocked, 0.0) * advantage * current.logp_tok,
            clipped_tok=blocked,
            metrics_tok={"divergence": distance, "blocked_gain": (blocked & (advantage > 0)).float()},
        )
