"""The reward less the mean of its prompt's responses, then whitened over the batch.

    A_i = whiten( R_i - mean_g R ),   mean 0 and deviation 1 over the batch's responses

A group of one has no mean, so that with one response per prompt this is the batch-whitened reward.
Ref: He et al. 2026 (DAR), arXiv 2602.11523, from public notes: "Monte-Carlo advantage, normalised over the batch".
"""

from typing import ClassVar

import torch

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.groups import less_group_mean
from safelab.maths.masked import masked_whiten
from safelab.types import Grain


class MonteCarloBatch(AdvantageEstimator):
    """Nothing to choose."""

    needs: ClassVar[frozenset[Need]] = frozenset({"no_values"})
    grain: ClassVar[Grain] = "sequence"

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_i on every token of response i, 0 on padding."""
        return_seq = evidence.return_seq
        advantage_seq = less_group_mean(return_seq, evidence.group_seq)
        advantage_seq = masked_whiten(advantage_seq, torch.ones_like(advantage_seq, dtype=torch.bool))
        return Advantages(advantage_tok=advantage_seq.unsqueeze(1) * evidence.mask, returns=None)
