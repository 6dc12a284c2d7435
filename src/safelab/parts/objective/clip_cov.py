"""Clip-Cov: PPO's loss with wide bounds, less a few tokens whose covariance would cost the most entropy.

    cov_t = (A_t - mean A)(logp_t - mean logp)
    a share of all tokens, drawn among those with cov_low < cov < cov_high that no bound stops, gets no gradient

Ref: Cui et al. 2025, arXiv 2505.22617, eq. 11 to 13; authors' code PRIME-RL/Entropy-Mechanism-of-RL.
"""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool
from pydantic import Field, model_validator
from torch import Tensor

from safelab.contracts import Need, StatelessObjective
from safelab.maths.ratios import covariance_tok
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.options import State
from safelab.types import Current, PolicyLoss, TrainBatch


class ClipCov(StatelessObjective):
    """``share``: of the minibatch's tokens, at least one. ``cov_low``, ``cov_high``: between which they are drawn."""

    needs: ClassVar[frozenset[Need]] = frozenset({"rollout_logp", "old_logp", "whole_minibatch"})

    clip_range: Annotated[float, Field(gt=0, le=1)]
    clip_range_high: Annotated[float, Field(gt=0)]
    dual_clip: Annotated[float, Field(gt=1)] | None
    share: Annotated[float, Field(gt=0, le=1)]
    cov_low: float
    cov_high: float

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ClipCov":
        if self.cov_low >= self.cov_high:
            raise ValueError(f"must have cov_low below cov_high, got {self.cov_low} and {self.cov_high}: none is drawn")
        return self

    def loss(self, state: State, current: Current, batch: TrainBatch) -> PolicyLoss:
        """Loss of each token."""
        log_ratio_tok = self.log_ratio(current, batch)
        bounded = (log_ratio_tok, batch.advantage_tok, self.clip_range, self.clip_range_high, self.dual_clip)
        stopped = ppo_clipped_tok(*bounded)
        cov = covariance_tok(batch.advantage_tok, current.logp_tok.detach(), batch.mask)
        candidates = batch.mask & ~stopped & (cov > self.cov_low) & (cov < self.cov_high)
        drawn = self._drawn(candidates, batch, current.seed)
        loss_tok = ppo_clip_tok(*bounded)
        return PolicyLoss(
            loss_tok=torch.where(drawn, torch.zeros_like(loss_tok), loss_tok),
            clipped_tok=stopped | drawn,
            metrics_tok={"covariance": cov, "drawn": drawn.float()},
        )

    def _drawn(self, candidates: Bool[Tensor, "b t"], batch: TrainBatch, seed: int) -> Bool[Tensor, "b t"]:
        """``share`` of the response tokens (at least one), drawn among ``candidates`` by the seed of the pass."""
        mask, found = torch.stack([batch.mask, candidates]).cpu()
        count = max(1, int(self.share * int(mask.sum())))
        places = found.flatten().nonzero().squeeze(1)
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
        drawn = torch.zeros(candidates.numel(), dtype=torch.bool)
        drawn[places[order[:count]]] = True
        return drawn.view_as(candidates).to(candidates.device)
