"""DPPO, top-K form: a token is blocked by how far the distribution it was drawn from has moved.

    loss_t = - M sg(min(r, c)) A log p,   r = pi / mu, mu the anchor's probability
    M = 0  where (A > 0 and pi > mu and D > high) or (A < 0 and pi < mu and D > low), else 1
    D over the anchor's K likeliest tokens (the sampled one stands in for the last if it is not among them) and the rest
    tv: D = (sum_k |mu_k - pi_k| + |mu_rest - pi_rest|) / 2      kl: D = sum_k mu_k log(mu_k / pi_k) + the rest's term

K = 1 is the binary form, ``dppo``; K = the vocabulary is the divergence itself. See ``maths.trust``.
Ref: arXiv 2602.04879; authors' code sail-sg/Stable-RL, ``dppo_topk_tv`` and ``dppo_topk_kl``.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.trust import Kind, blocked_tok, support_divergence, top_k_support
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class DppoTopk(StatelessObjective):
    """``top_k``: K. ``delta_low``, ``delta_high``: in probability for ``tv``, in nats for ``kl``. ``ratio_cap``: c."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "full_logits", "anchor_logits"})

    divergence: Kind
    top_k: Annotated[int, Field(ge=1)]
    delta_low: Annotated[float, Field(gt=0)]
    delta_high: Annotated[float, Field(gt=0)]
    ratio_cap: Annotated[float, Field(gt=1)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_mu = self.anchor_logp(batch)
        log_pi, advantage = current.logp_tok.detach(), batch.advantage_tok
        assert current.logp_vocab is not None
        assert batch.logp_vocab_old is not None
        support = top_k_support(batch.logp_vocab_old, batch.ids, self.top_k)
        distance = support_divergence(current.logp_vocab, batch.logp_vocab_old, support, self.divergence)
        blocked = blocked_tok(advantage, log_pi, log_mu, distance, self.delta_low, self.delta_high)
        weight = clamp_log_ratio(log_pi - log_mu).exp().clamp(max=self.ratio_cap)
        return PolicyLoss(
            loss_tok=-weight.masked_fill(blocked, 0.0) * advantage * current.logp_tok,
            clipped_tok=blocked,
            metrics_tok={
                "divergence": distance,
                "blocked_gain": (blocked & (advantage > 0)).float(),
                "support_mass": batch.logp_vocab_old.gather(-1, support).exp().sum(dim=-1),
            },
        )
