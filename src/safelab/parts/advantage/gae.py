"""Generalised advantage estimation over response tokens.

    delta_t = r_t + g V_{t+1} - V_t,   A_t = sum_k (g l)^k delta_{t+k},   returns_t = A_t + V_t

r_t is the KL penalty in the reward, if any, plus the score at the last response token; V after it is 0.
Ref: Schulman et al. 2016, arXiv 1506.02438, eq. 16; defaults as InstructGPT, arXiv 2203.02155.
"""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Advantages, Context, Evidence, Need
from safelab.maths.masked import masked_whiten
from safelab.maths.returns import gae, place_at_end
from safelab.options import Options as BaseOptions
from safelab.types import Grain

NEEDS: frozenset[Need] = frozenset({"values_per_token"})
GRAIN: Grain = "token"


class Options(BaseOptions):
    """``discount``: g. ``trace_decay``: l. ``whiten``: mean 0 and variance 1 over the batch's response tokens."""

    name: str
    discount: Annotated[float, Field(ge=0, le=1)]
    trace_decay: Annotated[float, Field(ge=0, le=1)]
    whiten: bool


def build(options: Options, context: Context) -> "Gae":
    """The estimator; it holds no state."""
    return Gae(options)


class Gae:
    """``contracts.AdvantageEstimator``."""

    needs = NEEDS

    def __init__(self, options: Options) -> None:
        self._options = options

    def estimate(self, evidence: Evidence) -> Advantages:
        """Advantages and returns of every token, 0 on padding."""
        mask = evidence.mask
        advantage, returns = gae(
            evidence.token_reward_tok + place_at_end(evidence.reward_seq, mask),
            evidence.values,
            mask,
            self._options.discount,
            self._options.trace_decay,
            evidence.bootstrap_values,
        )
        if self._options.whiten:
            advantage = masked_whiten(advantage, mask)
        return Advantages(advantage_tok=advantage, returns=returns)
