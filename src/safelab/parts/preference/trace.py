"""TRACE: realignment to a norm that has changed, from pairs that were labelled under the old one.

    L = L_I + L_II + kl_coef L_KL
    L_I  = sum_i w_i -log sigmoid(beta [rho(rejected_i) - rho(chosen_i)])              pairs that the new norm inverts
    L_II = sum_j w_j sum over both answers of -log sigmoid(-beta rho(y))               pairs of two bad answers
    L_KL = mean over the tokens of all other pairs of KL(ref || pi)
    w    = max(0, <g_pair, g_gold>), divided by its sum over all conflicting pairs

rho = log pi / ref of a whole answer. ``training/offline/triage.py`` sorts and weighs before the first update.
Deviation: the text describes a relation like IPO's where the code has DPO's form; it is DPO's here.
Ref: TRACE, arXiv 2511.02623, and its authors' code, both from notes.
"""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from safelab.contracts import TriagedPreference
from safelab.maths.triage import INVERT, PUNISH, bucket_of, inverted_loss, punished_loss
from safelab.types import PairBatch


class Trace(TriagedPreference):
    """``beta``: units of reward per nat of log-ratio.

    ``invert_margin``, ``punish_below``: see ``maths.triage.bucket_of``, in units of the reward; with ``oracle_`` in
    front the same for the evaluator, in its units.
    """

    beta: Annotated[float, Field(gt=0)]
    invert_margin: Annotated[float, Field(ge=0)]
    punish_below: float
    oracle_invert_margin: Annotated[float, Field(ge=0)]
    oracle_punish_below: float

    def bucket(self, score: Float[Tensor, "n a"]) -> Int[Tensor, "n"]:
        """By the reward."""
        return bucket_of(score, self.invert_margin, self.punish_below)

    def oracle_bucket(self, score: Float[Tensor, "n a"]) -> Int[Tensor, "n"]:
        """By the evaluator."""
        return bucket_of(score, self.oracle_invert_margin, self.oracle_punish_below)

    def loss_pair(self, logp: Float[Tensor, "b a"], batch: PairBatch) -> Float[Tensor, "b"]:
        """The weighted loss of each conflicting pair; 0 for a retained one, whose KL the loop adds."""
        assert batch.bucket is not None
        assert batch.influence is not None
        log_ratio = logp - batch.logp_ref
        inverted, punished = inverted_loss(log_ratio, self.beta), punished_loss(log_ratio, self.beta)
        conflict = torch.where(batch.bucket == PUNISH, punished, torch.zeros_like(punished))
        return batch.influence * torch.where(batch.bucket == INVERT, inverted, conflict)

    def implied_reward(self, log_ratio: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """``beta log_ratio``, as DPO's."""
        return self.beta * log_ratio
