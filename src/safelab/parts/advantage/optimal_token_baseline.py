"""Reward to go less a baseline of each place in the response, weighted by how far the tokens so far pull.

    A_it = G_it - B_t,   B_t = sum_i G_it W_it / (sum_i W_it + eps)      over the responses to a prompt that reach t
    W_it = sum_{j<=t} w_ij,   w = |d log p / d logits|^2 = 1 - 2 p + sum_v p_v^2,   p before this update

G_t is the score and, where its route is the reward, the KL penalty from t on. No deviation.
Ref: Li et al. 2026, "The Optimal Token Baseline", arXiv 2602.07078; verl ``optimal_token_baseline``.
"""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.masked import masked_mean, only, sequence_mean
from safelab.maths.returns import gae, place_at_end
from safelab.maths.token_baseline import Tail, TokenBaseline, token_baseline
from safelab.types import Grain


class OptimalTokenBaseline(AdvantageEstimator):
    """``tail``: B where one response of a group is left, see ``maths.token_baseline``. ``eps``: beside sum W."""

    needs: ClassVar[frozenset[Need]] = frozenset({"groups", "no_values", "logit_gradient", "token_ratio"})
    grain: ClassVar[Grain] = "token"

    tail: Tail
    eps: Annotated[float, Field(gt=0)]

    def estimate(self, evidence: Evidence) -> Advantages:
        """A_it of every token, 0 on padding."""
        assert evidence.logit_gradient_tok is not None
        mask = evidence.mask
        reward_tok = evidence.token_reward_tok + place_at_end(evidence.shaped_seq, mask)
        to_go_tok, _ = gae(reward_tok, torch.zeros_like(reward_tok), mask, discount=1.0, trace_decay=1.0)
        found = token_baseline(
            to_go_tok, evidence.logit_gradient_tok, mask, evidence.group_seq, eps=self.eps, tail=self.tail
        )
        advantage_tok = only(to_go_tok - found.baseline_tok, mask)
        return Advantages(advantage_tok=advantage_tok, returns=None, metrics=measured(found, advantage_tok, mask))


def measured(
    found: TokenBaseline, advantage_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]
) -> dict[str, Float[Tensor, ""]]:
    """How far B moves within a response, how much of the rollout is tail, and what the baseline makes small."""
    away_tok = found.baseline_tok - sequence_mean(found.baseline_tok, mask).unsqueeze(1)
    return {
        "baseline_spread": sequence_mean(away_tok.square(), mask).sqrt().mean(),
        "tail_share": masked_mean(found.tail_tok.to(advantage_tok), mask),
        "weighted_square": masked_mean(found.weight_tok * advantage_tok.square(), mask),
    }
