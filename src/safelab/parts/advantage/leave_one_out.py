"""Each response against the mean of the others to the same prompt.

    A_i = R_i - mean_{j != i} R_j,   R holds the KL penalty in the reward, if any

Ref: Ahmadian et al. 2024 (RLOO), arXiv 2402.14740, section 3.3.
"""

from typing import ClassVar

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.groups import leave_one_out
from safelab.types import Grain


class LeaveOneOut(AdvantageEstimator):
    """Nothing to choose."""

    needs: ClassVar[frozenset[Need]] = frozenset({"groups", "no_values"})
    grain: ClassVar[Grain] = "sequence"

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_i on every token of response i, 0 on padding."""
        return_seq = evidence.return_seq
        advantage_seq = leave_one_out(return_seq, evidence.group_seq)
        return Advantages(advantage_tok=advantage_seq.unsqueeze(1) * evidence.mask, returns=None)
