"""Plain sampling with a key-value cache: what ``generate`` does with its processors off, without its set-up per token.

    x_i = F_i^-1(u_i),  F_i the cumulative sum of softmax(logits_i / T),  u_i uniform on [0, 1)

until each row gave an end token or ``max_new_tokens`` are there. Each row has its own u, drawn on the CPU from a seed
of its own. So a response depends on its prompt, the weights and that seed; not on the rows beside it, on how many of
them still run, on the device or the number of processes, but for the rounding of the logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from safelab.errors import Diverged
from safelab.maths.wide import device_of_float64, wide

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
    seeds: Sequence[int] | None,
) -> Int[Tensor, "b t"]:
    """Response tokens, ``pad`` after a row's end; as many columns as the longest response has tokens.

    ``seeds``: one for each row; None takes the likeliest token every time.

    Raises:
        Diverged: a probability is not finite.
    """
    device = prompt_ids.device
    noise = None if seeds is None else uniforms(seeds, max_new_tokens).to(device_of_float64(device))
    width = prompt_ids.shape[1]
    mask = torch.ones(len(prompt_ids), width + max_new_tokens, dtype=torch.long, device=device)
    mask[:, :width] = prompt_mask
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    read = memory.begin(mask)
    columns: list[Tensor] = []
    ended = torch.zeros(len(prompt_ids), dtype=torch.bool, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    stops = torch.tensor(ends, device=device)
    step_ids, start = prompt_ids, 0
    for stop in range(width, width + max_new_tokens):
        logits = read(step_ids, positions[:, start:stop], stop)
        finite &= logits.amax(dim=-1).isfinite().all()  # NaN passes through a maximum; -inf is a token ruled out
        if noise is None:
            tokens = logits.argmax(dim=-1)
        else:
            tokens = drawn(logits, sampling_temperature, noise[:, len(columns)])
        tokens = torch.where(ended, pad, tokens)
        columns.append(tokens)
        ended = ended | torch.isin(tokens, stops)
        if bool(ended.all()):
            break
        step_ids, start = tokens.unsqueeze(1), stop
    # Asked once, at the end: a question at each token would hold up the device.
    if not bool(finite):
        raise Diverged("the policy's probabilities must be finite, got NaN while it wrote; its weights are no good")
    return torch.stack(columns, dim=1)


def uniforms(seeds: Sequence[int], count: int) -> Float64[Tensor, "b t"]:
    """``count`` numbers in [0, 1) for each seed; fewer of them are the first of more."""
    rows = [torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def drawn(
    logits: Float[Tensor, "b vocab"], sampling_temperature: float, uniform_seq: Float64[Tensor, "b"]
) -> Int[Tensor, "b"]:
    """The first token whose cumulative probability exceeds the row's number; computed in float64.

    float32 would be too coarse: over 100,000 tokens its cumulative sum is off by more than a rare token's probability.
    """
    cumulative = torch.softmax(wide(logits) / sampling_temperature, dim=-1).cumsum(dim=-1)
    # Times the sum itself, which rounding leaves a little beside one: so the last token with a probability is the last.
    found = torch.searchsorted(cumulative, (uniform_seq * cumulative[:, -1]).unsqueeze(1), right=True).squeeze(1)
    # Only rows of NaN lie outside; what they give is never used.
    return found.clamp(max=logits.shape[-1] - 1).to(logits.device)
