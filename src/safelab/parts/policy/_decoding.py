"""Plain sampling with a key-value cache: what ``generate`` does with its processors off, without its set-up per token.

    x_i ~ softmax(logits_i / T)    until each row gave an end token or ``max_new_tokens`` are there

The same random numbers are drawn in the same order, so the responses are those of ``generate``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.errors import Diverged

Read = Callable[[Int[Tensor, "b n"], Int[Tensor, "b n"], int], Float[Tensor, "b vocab"]]
"""``read(ids, positions, stop)``: logits after the next ``n`` columns, the last of which is column ``stop - 1``."""


@runtime_checkable
class Memory(Protocol):
    """Keys and values of what was read so far."""

    def begin(self, mask: Int[Tensor, "b s"]) -> Read:
        """How a model reads a new rollout; ``mask`` covers the prompt's columns and all that may be written."""


@dataclass(frozen=True, slots=True)
class Growing:
    """``Memory`` that grows with each token: nothing is reserved, and attention reads no more than there is.

    The cache of a recurrent model holds its states instead, and has another name; padding is kept out of them when
    they are made, so such a model is given the mask of the new columns alone.
    """

    module: Any

    def begin(self, mask: Int[Tensor, "b s"]) -> Read:
        """Reading with an empty cache."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.module.config)
        if "cache_params" in signature(self.module.forward).parameters:
            return partial(self._read_on, mask, cache)
        return partial(self._read, mask, cache)

    def _read(self, mask: Tensor, cache: Any, ids: Tensor, positions: Tensor, stop: int) -> Tensor:
        """One forward pass over the new columns."""
        output = self.module(
            input_ids=ids,
            attention_mask=mask[:, :stop],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _read_on(self, mask: Tensor, cache: Any, ids: Tensor, positions: Tensor, stop: int) -> Tensor:
        """The same for a recurrent model, which has no positions."""
        new = mask[:, stop - ids.shape[1] : stop]
        output = self.module(input_ids=ids, attention_mask=new, cache_params=cache, use_cache=True, logits_to_keep=1)
        logits: Tensor = output.logits[:, -1]
        return logits


@torch.no_grad()
def sample(
    memory: Memory,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    *,
    max_new_tokens: int,
    sampling_temperature: float,
    ends: Sequence[int],
    pad: int,
    greedy: bool = False,
) -> Int[Tensor, "b t"]:
    """Response tokens, ``pad`` after a row's end; as many columns as the longest response has tokens.

    With ``greedy`` the likeliest token is taken every time, and no random number is drawn.

    Raises:
        Diverged: a probability is not finite.
    """
    width = prompt_ids.shape[1]
    mask = torch.ones(len(prompt_ids), width + max_new_tokens, dtype=torch.long, device=prompt_ids.device)
    mask[:, :width] = prompt_mask
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    read = memory.begin(mask)
    columns: list[Tensor] = []
    ended = torch.zeros(len(prompt_ids), dtype=torch.bool, device=prompt_ids.device)
    stops = torch.tensor(ends, device=prompt_ids.device)
    step_ids, start = prompt_ids, 0
    for stop in range(width, width + max_new_tokens):
        logits = read(step_ids, positions[:, start:stop], stop)
        tokens = chosen(logits.float(), sampling_temperature, greedy)
        tokens = torch.where(ended, pad, tokens)
        columns.append(tokens)
        ended = ended | torch.isin(tokens, stops)
        if bool(ended.all()):
            break
        step_ids, start = tokens.unsqueeze(1), stop
    return torch.stack(columns, dim=1)


def chosen(logits: Float[Tensor, "b vocab"], sampling_temperature: float, greedy: bool) -> Int[Tensor, "b"]:
    """One token a row: sampled at the temperature, or the likeliest.

    Raises:
        Diverged: a probability is not finite.
    """
    if greedy:
        return logits.argmax(dim=-1)
    if sampling_temperature != 1.0:
        logits = logits / sampling_temperature
    probabilities = torch.softmax(logits, dim=-1)
    # One sum over what is there anyway: on a GPU multinomial would end the process's use of it, not raise.
    if not math.isfinite(float(probabilities.sum())):
        raise Diverged("the policy's probabilities must be finite, got NaN while it wrote; its weights are no good")
    return torch.multinomial(probabilities, num_samples=1).squeeze(1)
