"""DPPO: a token is blocked by how far its probability has moved, not by the ratio.

    loss_t = - M sg(min(r, c)) A log p,   r = pi / mu, mu the anchor's probability
    M = 0  where (A > 0 and pi > mu and D > high) or (A < 0 and pi < mu and D > low), else 1
    tv: D = |pi - mu|      kl: D = mu log(mu / pi) + (1 - mu) log((1 - mu) / (1 - pi))      no gradient through D

Ref: arXiv 2602.04879; authors' code sail-sg/Stable-RL, ``dppo_binary_tv`` and ``dppo_binary_kl``. Their top-K form,
which needs the sampler's top tokens, is not here.
"""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class Dppo(StatelessObjective):
    """``delta_low``, ``delta_high``: in probability for ``tv``, in nats for ``kl``. ``ratio_cap``: c."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    divergence: Literal["tv", "kl"]
    delta_low: Annotated[float, Field(gt=0)]
    delta_high: Annotated[float, Field(gt=0)]
    ratio_cap: Annotated[float, Field(gt=1)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_mu = self.anchor_logp(batch)
        log_pi, advantage = current.logp_tok.detach(), batch.advantage_tok
        distance = binary_divergence(log_pi, log_mu, self.divergence)
        blocked = (advantage > 0) & (log_pi > log_mu) & (distance > self.delta_high)
        blocked = blocked | ((advantage < 0) & (log_pi < log_mu) & (distance > self.delta_low))
        weight = clamp_log_ratio(log_pi - log_mu).exp().clamp(max=self.ratio_cap)
        return PolicyLoss(
            loss_tok=-torch.where(blocked, torch.zeros_like(weight), weight) * advantage * current.logp_tok,
            clipped_tok=blocked,
            metrics_tok={"divergence": distance, "blocked_gain": (blocked & (advantage > 0)).float()},
        )


def binary_divergence(
    log_pi: Float[Tensor, "b t"], log_mu: Float[Tensor, "b t"], kind: Literal["tv", "kl"]
) -> Float[Tensor, "b t"]:
    """Divergence of two distributions over "this token" and "any other"."""
    pi, mu = log_pi.exp(), log_mu.exp()
    if kind == "tv":
        return (pi - mu).abs()
    pi, mu = pi.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR), mu.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return mu * (mu.log() - pi.log()) + (1 - mu) * (torch.log1p(-mu) - torch.log1p(-pi))


PROBABILITY_FLOOR = 1e-6
"""float32 has no number between 1 - 6e-8 and 1; the authors' 1e-8 would round to it and take the log of 0."""
