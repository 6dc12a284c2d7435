"""DRPO: the unclipped surrogate with a penalty that pulls a token back once its probability has moved by delta.

    loss_t = -A r + |A| mu (r - 1)^2 / (2 delta),   r = pi / mu, mu the anchor's probability
    d loss_t / d logp = -A r w,   w = 1 - brake,   brake = sign(A) (pi - mu) / delta

The brake is 1 where the probability has moved by delta towards the advantage, and beyond that the gradient points back.
|pi - mu| is at most 1: with the paper's delta of 12.5 the weight w stays between 0.92 and 1.08, and nothing is held.
Ref: arXiv 2606.09821; code Tencent-Hunyuan/UniRL. Other methods of the same name exist.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.surrogate import beyond_limit_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class Drpo(StatelessObjective):
    """``delta``: distance of the sampled token's probability from the anchor's at which its gradient is 0."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    delta: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio, advantage = self.log_ratio(current, batch), batch.advantage_tok
        ratio, mu = clamp_log_ratio(log_ratio).exp(), self.anchor_logp(batch).exp()
        moved = (current.logp_tok.exp() - mu).detach()
        brake = advantage.sign() * moved / self.delta
        return PolicyLoss(
            loss_tok=-advantage * ratio + advantage.abs() * mu * (ratio - 1).square() / (2 * self.delta),
            clipped_tok=beyond_limit_tok(log_ratio, advantage),
            metrics_tok={"divergence": moved.abs(), "brake": brake, "reversed": (brake > 1).float()},
            greatest_tok={"divergence": moved.abs(), "brake": brake},
        )
