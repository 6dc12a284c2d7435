"""Truncated importance sampling (TIS): a token counts as much as its ratio says, and never more than a cap.

    w = min(rho, cap)                rho_t = p_old / p_rollout of the token, or their product over the response

Limits: where sampler and old policy agree, w = 1. A cap at infinity leaves no bias and an unbounded variance.
Ref: Ionides 2008, "Truncated importance sampling"; for rollout engines: Yao et al. 2025, "Your efficient RL framework
secretly brings you off-policy RL training"; as verl's ``rollout_is``, TRL's ``token_truncate``, ``sequence_truncate``.
"""

from typing import Annotated

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from safelab.contracts import Correction, Weights
from safelab.maths.importance import Level, importance_ratio


class Truncate(Correction):
    """``level``: the ratio of a token, or of its response. ``cap``: the greatest weight."""

    level: Level
    cap: Annotated[float, Field(ge=1)]

    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """The ratio, or the cap where that is less."""
        ratio_tok = importance_ratio(log_ratio_tok, mask, self.level)
        return Weights(weight_tok=ratio_tok.clamp(max=self.cap), corrected_tok=ratio_tok > self.cap)
