"""Evidence for an advantage, by hand: rewards, groups, lengths."""

from collections.abc import Sequence
from typing import Any

import torch

from safelab.contracts import Evidence
from safelab.types import PromptBatch, Rollout


def evidence(
    rewards: Sequence[float],
    groups: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    columns: int | None = None,
    **more: Any,
) -> Evidence:
    """``rewards`` of responses of ``lengths`` tokens (2 each), to the prompts that ``groups`` numbers (one each)."""
    count = len(rewards)
    lengths = lengths or [2] * count
    mask = torch.arange(columns or max(lengths)) < torch.tensor(lengths)[:, None]
    prompts = PromptBatch(
        texts=("a",) * count,
        ids=torch.zeros(count, 1, dtype=torch.long),
        mask=torch.ones(count, 1, dtype=torch.bool),
        group_seq=torch.tensor(groups if groups is not None else range(count)),
    )
    rollout = Rollout(
        prompts=prompts,
        ids=torch.zeros_like(mask, dtype=torch.long),
        mask=mask,
        ended_seq=torch.ones(count, dtype=torch.bool),
        responses=("b",) * count,
    )
    given = {
        "token_reward_tok": torch.zeros(mask.shape),
        "values": torch.zeros(count, 0),
        "bootstrap_values": torch.zeros(count, 0),
        **more,
    }
    return Evidence(rollout=rollout, shaped_seq=torch.tensor(rewards), **given)
