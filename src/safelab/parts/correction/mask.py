"""Masked importance sampling: what sampler and old policy disagree on too much counts nothing.

    w = rho where low <= rho <= high, else 0      rho_t = p_old / p_rollout of the token (IcePop),
                                                  or their product over the response (MIS)

The zeros stay in the mean: the number of tokens that a loss is divided by does not change (as in TRL).
Limits: where sampler and old policy agree, w = 1; low = 0 and high at infinity is plain importance sampling.
Ref: IcePop: Ling team 2025, "Small leak can sink a great ship"; MIS: Liu et al. 2025, "When speed kills stability"; as
verl's rejection and TRL's ``token_mask``, ``sequence_mask``.
"""

from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from safelab.contracts import Correction, Weights
from safelab.maths.importance import Level, importance_ratio


class Mask(Correction):
    """``level``: the ratio of a token, or of its response. ``low``, ``high``: it counts from the one to the other."""

    level: Level
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=1)]

    @model_validator(mode="after")
    def _leaves_room(self) -> "Mask":
        if self.low == self.high:
            raise ValueError(f"must have a low below its high, got {self.low} and {self.high}: nothing lies between")
        return self

    def weigh(self, log_ratio_tok: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Weights | None:
        """The ratio, or 0 where it is out of bounds."""
        ratio_tok = importance_ratio(log_ratio_tok, mask, self.level)
        outside_tok = (ratio_tok < self.low) | (ratio_tok > self.high)
        return Weights(
            weight_tok=torch.where(outside_tok, torch.zeros_like(ratio_tok), ratio_tok), corrected_tok=outside_tok
        )
