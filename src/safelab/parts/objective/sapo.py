"""SAPO: a soft gate in place of the clip: the further the ratio is from 1, on either side, the less a token counts.

    loss_t = -A (4 / tau) sigmoid(tau (r - 1)),   r = exp(logp - logp_anchor)
    d loss_t / d logp = -A r 4 s (1 - s),   s = sigmoid(tau (r - 1));   tau is one number where A > 0, another elsewhere

4 s (1 - s) is 1 at r = 1 and never 0. It damps a token that comes back to the anchor as much as one that leaves it.
Ref: arXiv 2511.20347, as in TRL and verl.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.surrogate import beyond_limit_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class Sapo(StatelessObjective):
    """``steepness_gain``, ``steepness_loss``: tau where A > 0, and elsewhere; per unit of the ratio."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp"})

    steepness_gain: Annotated[float, Field(gt=0)]
    steepness_loss: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio, advantage = self.log_ratio(current, batch), batch.advantage_tok
        gains = advantage > 0
        steepness = torch.where(gains, self.steepness_gain, self.steepness_loss).to(advantage)
        passed = torch.sigmoid(steepness * (clamp_log_ratio(log_ratio).exp() - 1))
        gate = (4 * passed * (1 - passed)).detach()
        return PolicyLoss(
            loss_tok=-advantage * 4 / steepness * passed,
            clipped_tok=beyond_limit_tok(log_ratio, advantage),
            metrics_tok={"gate": gate, "gate_gain": gate * gains, "gain_share": gains.float()},
        )
