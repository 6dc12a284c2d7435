"""Rewards of one prompt's responses, less their mean, over their deviation.

    A_i = (R_i - mean_g R) / (std_g R + eps),   std unbiased;  without ``scale``: A_i = R_i - mean_g R

R holds the KL penalty in the reward, if any. A group of one keeps R; equal rewards give 0.
Ref: Shao et al. 2024 (GRPO), arXiv 2402.03300, section 4.1; without deviation: Liu et al. 2025 (Dr. GRPO), 2503.20783.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.groups import group_deviation, less_group_mean
from safelab.types import Grain


class GroupNorm(AdvantageEstimator):
    """``scale``: divide by the deviation. ``eps``: added to it, in units of the reward."""

    needs: ClassVar[frozenset[Need]] = frozenset({"groups", "no_values"})
    grain: ClassVar[Grain] = "sequence"

    scale: bool
    eps: Annotated[float, Field(gt=0)]

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_i on every token of response i, 0 on padding."""
        return_seq, group_seq = evidence.return_seq, evidence.group_seq
        advantage_seq = less_group_mean(return_seq, group_seq)
        if self.scale:
            advantage_seq = advantage_seq / (group_deviation(return_seq, group_seq) + self.eps)
        return Advantages(advantage_tok=advantage_seq.unsqueeze(1) * evidence.mask, returns=None)
