"""BAPO: ratio bounds that are widened in each minibatch until gains weigh enough, then PPO's clipped loss.

    loss_t = max(-A r, -A clip(r, low, high)),   (low, high) from ``maths.balanced_bounds``

Ref: BAPO, arXiv 2510.18927, and its authors' code, which differ: see ``form``.
"""

from dataclasses import fields
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator

from safelab.contracts import Need, StatelessObjective
from safelab.maths.balanced_bounds import Contribution, Form, Search, balanced_bounds
from safelab.maths.divergence import clamp_log_ratio
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class BalancedClip(StatelessObjective):
    """Bounds are ratios, not distances from 1.

    ``form``: the search. ``target``: a share for ``paper``, gains over losses for ``authors_code``.
    ``contribution``: what counts as a token's part, its bounded surrogate, or only that which keeps its gradient.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "whole_minibatch"})

    form: Form
    contribution: Contribution
    target: Annotated[float, Field(gt=0)]
    low_start: Annotated[float, Field(ge=0, lt=1)]
    low_limit: Annotated[float, Field(ge=0, lt=1)]
    low_step: Annotated[float, Field(gt=0)]
    high_start: Annotated[float, Field(gt=1)]
    high_limit: Annotated[float, Field(gt=1)]
    high_step: Annotated[float, Field(gt=0)]
    dual_clip: Annotated[float, Field(gt=1)] | None

    @model_validator(mode="after")
    def _limits_lie_beyond(self) -> "BalancedClip":
        if self.low_limit < self.low_start or self.high_limit < self.high_start:
            raise ValueError(
                "must have low_limit >= low_start and high_limit >= high_start, got "
                f"{self.low_start} to {self.low_limit} and {self.high_start} to {self.high_limit}"
            )
        return self

    def search(self) -> Search:
        """What the search for the bounds is to do."""
        return Search(**{field.name: getattr(self, field.name) for field in fields(Search)})

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio_tok = self.log_ratio(current, batch)
        ratio_tok = clamp_log_ratio(log_ratio_tok.detach()).exp()
        prob_tok = self.anchor_logp(batch).exp()
        # On the CPU: each step of the search asks whether it is the last, and a GPU would be waited for every time.
        valid = batch.mask.cpu()
        tokens = torch.stack([ratio_tok, batch.advantage_tok, prob_tok]).cpu()
        ratio, advantage, prob = (of_tok[valid] for of_tok in tokens)
        found = balanced_bounds(self.search(), ratio, advantage, prob)
        bounded = (log_ratio_tok, batch.advantage_tok, 1 - found.low, found.high - 1, self.dual_clip)
        return PolicyLoss(
            loss_tok=ppo_clip_tok(*bounded),
            clipped_tok=ppo_clipped_tok(*bounded),
            metrics_tok={
                "bound_low": torch.full_like(ratio_tok, found.low),
                "bound_high": torch.full_like(ratio_tok, found.high),
                "balance": torch.full_like(ratio_tok, min(found.balance, BALANCE_SHOWN)),
            },
        )


BALANCE_SHOWN = 1e6
"""Without any loss in a minibatch gains over losses are infinite; a mean over passes needs a number."""
