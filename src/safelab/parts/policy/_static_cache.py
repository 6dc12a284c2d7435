"""Decoding into a cache of a fixed size: every token's pass has the same shapes, so that it can be compiled.

On a GPU a small batch's step is mostly launches of kernels; a captured graph has one. The price is attention over the
whole cache, written or not, and memory that stays reserved between rollouts.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from safelab.parts.policy._decoding import Read


class Reserved:
    """``_decoding.Memory`` that is made once for a number of rows, and used again by every rollout.

    Args:
        module: a causal model of ``transformers``.
        room: columns of the longest prompt and response together, so that the shape depends on no batch.
        compiled: whether the pass of a single token is compiled; on a GPU also captured as a graph.
    """

    def __init__(self, module: Any, room: int, compiled: bool) -> None:
        self._module = module
        self._room = room
        self._rows = 0
        self._compiled = compiled
        self._one_token: Any = self._pass
        if compiled:
            # "reduce-overhead" is what captures CUDA graphs; the cache's addresses are marked as fixed for it.
            mode = "reduce-overhead" if module.device.type == "cuda" else "default"
            self._one_token = torch.compile(self._pass, mode=mode, dynamic=False)

    def begin(self, mask: Int[Tensor, "b s"]) -> Read:
        """The same tensors again, or new ones where the number of rows changed."""
        from transformers import StaticCache

        rows, columns = mask.shape
        if self._rows != rows:
            self._cache: Any = StaticCache(config=self._module.config, max_cache_len=self._room)
            self._rows = rows
        else:
            self._cache.reset()
        # Causality hides the columns that are not written yet.
        return partial(self._read, torch.nn.functional.pad(mask, (0, self._room - columns), value=1))

    def _read(self, mask: Tensor, ids: Tensor, positions: Tensor, stop: int) -> Tensor:
        """One forward pass over the new columns."""
        if ids.shape[1] > 1 or not self._compiled:
            return self._pass(ids, positions, mask)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        logits: Tensor = self._one_token(ids, positions, mask)
        return logits

    def _pass(self, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        output = self._module(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits
