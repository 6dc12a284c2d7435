"""Rollouts that wait to be trained on (``rollout.staleness``), as tensors and texts for a checkpoint and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from safelab.types import Greedy, PromptBatch, Rollout


def tensors_of(rollout: Rollout) -> dict[str, Tensor]:
    """Its tensors by name; those that it does not have are absent."""
    found = {
        "prompt_ids": rollout.prompts.ids,
        "prompt_mask": rollout.prompts.mask,
        "group_seq": rollout.prompts.group_seq,
        "ids": rollout.ids,
        "mask": rollout.mask,
        "ended_seq": rollout.ended_seq,
        "logp_rollout_tok": rollout.logp_rollout_tok,
        "greedy_ended_seq": None if rollout.greedy is None else rollout.greedy.ended_seq,
    }
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def texts_of(rollout: Rollout) -> dict[str, Any]:
    """Its texts, as JSON holds them."""
    greedy = None if rollout.greedy is None else list(rollout.greedy.responses)
    return {
        "prompts": list(rollout.prompts.texts),
        "columns": {name: list(values) for name, values in rollout.prompts.columns.items()},
        "responses": list(rollout.responses),
        "greedy": greedy,
        "written": rollout.written,
    }


def restored(tensors: Mapping[str, Tensor], texts: Mapping[str, Any], device: torch.device) -> Rollout:
    """The rollout that ``tensors_of`` and ``texts_of`` describe."""
    here = {name: tensor.to(device) for name, tensor in tensors.items()}
    greedy = None
    if texts["greedy"] is not None:
        greedy = Greedy(responses=tuple(texts["greedy"]), ended_seq=here["greedy_ended_seq"])
    return Rollout(
        prompts=PromptBatch(
            texts=tuple(texts["prompts"]),
            ids=here["prompt_ids"],
            mask=here["prompt_mask"],
            group_seq=here["group_seq"],
            # A checkpoint of an older version knows none.
            columns={name: tuple(values) for name, values in texts.get("columns", {}).items()},
        ),
        ids=here["ids"],
        mask=here["mask"],
        ended_seq=here["ended_seq"],
        responses=tuple(texts["responses"]),
        logp_rollout_tok=here.get("logp_rollout_tok"),
        greedy=greedy,
        written=texts.get("written"),  # nor of when it was written
    )
