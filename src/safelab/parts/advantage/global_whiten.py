"""Reward to go of each token, whitened over all tokens of the batch: no critic, no group.

    G_t = sum_{s>=t} r_s,   r = the KL penalty in the reward, plus the score at the last token
    A = whiten(G) over the batch's response tokens;  ``baseline: group_mean`` takes the score's group mean off first

Ref: Hu 2025 (REINFORCE++), arXiv 2501.03262, eq. 4 to 6; "-baseline" of its section 3.
"""

from typing import ClassVar, Literal

import torch

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.groups import less_group_mean
from safelab.maths.masked import masked_whiten
from safelab.maths.returns import gae, place_at_end
from safelab.types import Grain


class GlobalWhiten(AdvantageEstimator):
    """``baseline``: what is taken off a score before, ``none`` or the mean of its prompt's responses."""

    needs: ClassVar[frozenset[Need]] = frozenset({"no_values"})
    grain: ClassVar[Grain] = "token"

    baseline: Literal["none", "group_mean"]

    def estimate(self, evidence: Evidence) -> Advantages:
        """Whitened reward to go of every token, 0 on padding."""
        mask, score_seq = evidence.mask, evidence.shaped_seq
        if self.baseline == "group_mean":
            score_seq = less_group_mean(score_seq, evidence.group_seq)
        rewards_tok = evidence.token_reward_tok + place_at_end(score_seq, mask)
        to_go_tok, _ = gae(rewards_tok, torch.zeros_like(rewards_tok), mask, discount=1.0, trace_decay=1.0)
        return Advantages(advantage_tok=masked_whiten(to_go_tok, mask), returns=None)
