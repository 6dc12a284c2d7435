"""Generalised advantage estimation over response tokens.

    delta_t = r_t + g V_{t+1} - V_t,   A_t = sum_k (g l)^k delta_{t+k},   returns_t = A_t + V_t

r_t is the KL penalty in the reward, if any, plus the score at the last response token; V after it is 0. With
``whiten_rewards`` it is r_t <- (r_t - mean r) / std r + mean r first, over the batch's response tokens.
Ref: Schulman et al. 2016, arXiv 1506.02438, eq. 16; defaults as InstructGPT, arXiv 2203.02155.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from safelab.contracts import AdvantageEstimator, Advantages, Evidence, Need
from safelab.maths.masked import masked_whiten
from safelab.maths.returns import gae, place_at_end
from safelab.types import Grain


class Gae(AdvantageEstimator):
    """``discount``: g. ``trace_decay``: l. ``whiten``: mean 0 and variance 1 over the batch's response tokens.

    ``whiten_rewards``: rewards of tokens, KL included, with variance 1 and their own mean over the same; as
    lm-human-preferences has it, and TRL if asked. The critic learns on that scale.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"values_per_token"})
    grain: ClassVar[Grain] = "token"

    discount: Annotated[float, Field(ge=0, le=1)]
    trace_decay: Annotated[float, Field(ge=0, le=1)]
    whiten: bool
    whiten_rewards: bool

    def estimate(self, evidence: Evidence) -> Advantages:
        """Advantages and returns of every token, 0 on padding."""
        mask = evidence.mask
        reward_tok = evidence.token_reward_tok + place_at_end(evidence.shaped_seq, mask)
        if self.whiten_rewards:
            reward_tok = masked_whiten(reward_tok, mask, shift_mean=False)
        advantage, returns = gae(
            reward_tok,
            evidence.values,
            mask,
            self.discount,
            self.trace_decay,
            evidence.bootstrap_values,
        )
        if self.whiten:
            advantage = masked_whiten(advantage, mask)
        return Advantages(advantage_tok=advantage, returns=returns)
