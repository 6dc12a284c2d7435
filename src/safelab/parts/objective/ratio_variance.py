"""R2VPO: the ratio's second moment about 1 is held at a bound by a multiplier, instead of clipping tokens.

    loss_t = -(r A - lam (r - 1)^2),   lam <- max(0, lam + eta (mean (r - 1)^2 - delta))

A token's gradient weight is r (A - 2 lam (r - 1)): the brake turns it round once r - 1 > A / (2 lam). lam = 0 is the
policy gradient with importance weights. The multiplier is stepped once an update, on the mean of the last pass: the
first pass over a fresh rollout is at r = 1, and on it lam could only fall.
Ref: arXiv 2601.03320, abstract and public notes; delta, eta and the level (token or response) are not verified.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from safelab.contracts import Need, Objective
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.surrogate import beyond_limit_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class DualState(State):
    """``multiplier``: lam, never negative."""

    multiplier: float


class RatioVariance(Objective[DualState]):
    """``multiplier_start``: lam before the first update. ``multiplier_lr``: eta. ``variance_bound``: delta."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "moved_ratio"})

    multiplier_start: Annotated[float, Field(ge=0)]
    multiplier_lr: Annotated[float, Field(ge=0)]
    variance_bound: Annotated[float, Field(gt=0)]

    def init(self) -> DualState:
        """The multiplier where it starts."""
        return DualState(multiplier=self.multiplier_start)

    def step(self, state: DualState, seen: Mapping[str, float]) -> DualState:
        """Dual ascent on the variance of the update's last pass."""
        excess = seen["ratio_variance"] - self.variance_bound
        return DualState(multiplier=max(0.0, state.multiplier + self.multiplier_lr * excess))

    def loss(self, state: DualState, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio_tok = self.log_ratio(current, batch)
        ratio = clamp_log_ratio(log_ratio_tok).exp()
        distance = (ratio - 1).square()
        return PolicyLoss(
            loss_tok=-(ratio * batch.advantage_tok - state.multiplier * distance),
            clipped_tok=beyond_limit_tok(log_ratio_tok, batch.advantage_tok),
            metrics_tok={
                "ratio_variance": distance.detach(),
                "multiplier": torch.full_like(distance, state.multiplier, requires_grad=False),
            },
        )
