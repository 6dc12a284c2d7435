"""The sampled response against the greedy one to the same prompt.

    A_t = kl_t + g^(T - t + 1) clip(R(y) - R(greedy), -c, c),   t = 1 .. T

kl_t is the KL penalty in the reward of token t alone, not summed to go, as in the authors' code.
Ref: Li et al. 2023 (ReMax), arXiv 2310.10505, algorithm 1; authors' code liziniu/ReMax.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.types import Grain


class GreedyBaseline(AdvantageEstimator):
    """``discount``: g. ``clip``: c, in units of the reward."""

    needs: ClassVar[frozenset[Need]] = frozenset({"greedy", "raw_reward", "no_values"})
    grain: ClassVar[Grain] = "token"

    discount: Annotated[float, Field(gt=0, le=1)]
    clip: Annotated[float, Field(gt=0)]

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_t of every token, 0 on padding."""
        assert evidence.greedy_reward_seq is not None
        mask = evidence.mask
        gain_seq = (evidence.shaped_seq - evidence.greedy_reward_seq).clamp(-self.clip, self.clip)
        left_tok = mask.flip(1).cumsum(dim=1).flip(1)  # T - t + 1 on the response
        gain_tok = self.discount**left_tok * gain_seq.unsqueeze(1)
        return Advantages(advantage_tok=(evidence.token_reward_tok + gain_tok) * mask, returns=None)
