"""Pair batches of given log-probabilities, for losses that need no model."""

from collections.abc import Sequence

import torch

from safelab.types import PairBatch


def pair_batch(logp_ref: Sequence[Sequence[float]], reward: Sequence[Sequence[float]] | None = None) -> PairBatch:
    """One row per pair, the chosen answer first."""
    count = len(logp_ref)
    return PairBatch(
        prompt_ids=torch.zeros(count, 1, dtype=torch.long),
        prompt_mask=torch.ones(count, 1, dtype=torch.bool),
        ids=torch.zeros(count, 2, 1, dtype=torch.long),
        mask=torch.ones(count, 2, 1, dtype=torch.bool),
        logp_ref=torch.tensor(logp_ref, dtype=torch.float64),
        reward=None if reward is None else torch.tensor(reward, dtype=torch.float64),
    )
