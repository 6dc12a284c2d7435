"""One advantage per sequence, copied to all its tokens: the response is one action of a bandit.

    A_i = whiten(R_i - V_i),   R_i = shaped reward + sum over tokens of the KL penalty in the reward, if any

The critic learns R_i. Ref: SAFE's released trainer; Ahmadian et al. 2024, arXiv 2402.14740, section 3.
"""

from typing import ClassVar

import torch

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.masked import masked_whiten
from safelab.types import Grain


class SequenceBandit(AdvantageEstimator):
    """``whiten``: mean 0 and variance 1 over the sequences of the batch."""

    needs: ClassVar[frozenset[Need]] = frozenset({"values_per_sequence"})
    grain: ClassVar[Grain] = "sequence"

    whiten: bool

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_i on every token of sequence i, 0 on padding; returns [b, 1]."""
        mask = evidence.mask
        returns = evidence.return_seq.unsqueeze(1)
        advantage = returns - evidence.values
        if self.whiten:
            advantage = masked_whiten(advantage, torch.ones_like(advantage, dtype=torch.bool))
        return Advantages(advantage_tok=advantage * mask, returns=returns)
