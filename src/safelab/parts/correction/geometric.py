"""Whole responses are left out where sampler and old policy disagree per token, whatever the response's length.

    w_t = min(rho_t, cap)  where low <= G <= high, else 0
    rho_t = p_old / p_rollout of the token,  G = (prod_t rho_t)^(1/T) = exp(mean_t log rho_t);  without a cap w = 1

The zeros stay in the mean: the number of tokens that a loss is divided by does not change (as in TRL).
Limits: where sampler and old policy agree, w = 1; low = 0 and high at infinity is ``truncate`` by token. Bounds as
tight as those that frameworks ship (0.999 to 1.001) leave little or nothing where the sampler is a stale policy.
Ref: Liu et al. 2025, "When speed kills stability"; verl's geometric rejection, SkyRL's geometric mask.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from safelab.contracts import Correction, Weights
from safelab.maths.importance import geometric_ratio, importance_ratio


class Geometric(Correction):
    """``low``, ``high``: a response counts where its G lies between. ``cap``: the greatest weight; None: no weights."""

    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=1)]
    cap: Annotated[float, Field(ge=1)] | None

    @model_validator(mode="after")
    def _leaves_room(self) -> "Geometric":
        if self.low == self.high:
            raise ValueError(f"must have a low below its high, got {self.low} and {self.high}: nothing lies between")
        return self

    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """The token's bounded ratio, or 1 without a cap; 0 in a response that is out of bounds."""
        ratio_tok = importance_ratio(log_ratio_tok, mask, "token")
        mean_tok = geometric_ratio(log_ratio_tok, mask).unsqueeze(1)
        outside_tok = ((mean_tok < self.low) | (mean_tok > self.high)).expand_as(ratio_tok)
        weight_tok = torch.ones_like(ratio_tok) if self.cap is None else ratio_tok.clamp(max=self.cap)
        capped_tok = torch.zeros_like(outside_tok) if self.cap is None else ratio_tok > self.cap
        return Weights(
            weight_tok=torch.where(outside_tok, torch.zeros_like(ratio_tok), weight_tok),
            corrected_tok=outside_tok | capped_tok,
        )
