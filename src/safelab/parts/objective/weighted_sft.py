"""DAR: the optimum between reference, sampling policy and advantage, fitted as weighted supervised learning.

    w_i = min( (pi_ref(y|x) / pi_anchor(y|x))^alpha exp(A_i / beta), w_max ),   loss_it = - sg(w_i) log p_it

Of whole responses, so meant for ``aggregation=sequence_sum`` with length 1. There is no ratio and no clip of the
gradient: A = 0 is plain supervised learning on the response, not zero gradient. In log space, since exp overflows.
Ref: He et al. 2026, arXiv 2602.11523, theorem 4.2, from public notes.
"""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, StatelessObjective
from safelab.maths.weighting import anchored_weight
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class WeightedSft(StatelessObjective):
    """``reference_share``: alpha, the reference's share of the regularisation.

    ``beta``: its strength, in units of the advantage. ``weight_cap``: w_max.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "reference", "sequence_advantage"})
    pushes_down: ClassVar[bool] = False  # every response is pulled up, a bad one by little

    reference_share: Annotated[float, Field(ge=0, le=1)]
    beta: Annotated[float, Field(gt=0)]
    weight_cap: Annotated[float, Field(gt=0)]

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        drift_tok = batch.logp_ref_tok - self.anchor_logp(batch)
        drift_seq = torch.where(batch.mask, drift_tok, torch.zeros_like(drift_tok)).sum(dim=1)
        weight_seq = anchored_weight(drift_seq, batch.advantage_seq, self.reference_share, self.beta, self.weight_cap)
        weight = weight_seq.unsqueeze(1).expand_as(current.logp_tok)
        return PolicyLoss(
            loss_tok=-weight * current.logp_tok,
            metrics_tok={"weight": weight, "weight_clipped": (weight >= self.weight_cap).float()},
        )
