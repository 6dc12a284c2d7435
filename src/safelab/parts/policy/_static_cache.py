"""Decoding into a cache of a fixed size: every token's pass has the same shapes, so that it can be compiled.

On a GPU a small batch's step is mostly launches of kernels; a captured graph has one. The price is attention over the
whole cache, written or not, and memory that stays reserved between rollouts.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.contracts import Decoding
from safelab.parts.policy._capturing import Captured
from safelab.parts.policy._decoding import LEAST_ROWS
from safelab.parts.policy._prefill import forward, pieces_of, read_in_pieces

SMALLEST = 8
"""The largest number of rows over the smallest that a rollout goes on with: each number between has its own graph."""


class Reserved:
    """``_decoding.Memory`` that is made once for the most rows so far, and used again by every rollout.

    Fewer rows use the first ones of the same tensors. So a number of rows that comes again finds its compiled step.

    Args:
        module: a causal model of ``transformers``.
        room: columns of the longest prompt and response together, so that the shape depends on no batch.
        decoding: how the pass of a single token is made: as it is (``static``), recorded as a graph on a GPU
            (``captured``), or compiled, and on a GPU then recorded too (``compiled``).
        packing: as ``Growing.packing``.
    """

    def __init__(self, module: Any, room: int, decoding: Decoding, *, packing: bool = True) -> None:
        self.module = module
        self.room = room
        self.decoding = decoding
        self.packing = packing
        self._rows = 0
        self._caches: dict[int, Any] = {}
        self.one_token: Any = forward
        if decoding == "captured":
            self.one_token = Captured()
        if decoding == "compiled":
            # "reduce-overhead" is what captures CUDA graphs; the cache's addresses are marked as fixed for it.
            mode = "reduce-overhead" if module.device.type == "cuda" else "default"
            self.one_token = torch.compile(forward, mode=mode, dynamic=False)

    def begin(self, mask: Int[Tensor, "b s"], alike: Sequence[int] | None = None) -> "ReservedReading":
        """The same tensors again, or new ones where there are more rows than ever."""
        from transformers import StaticCache

        rows, columns = mask.shape
        if rows not in self._caches and not self._reaches(rows):
            self._rows = rows
            self._caches = {rows: StaticCache(config=self.module.config, max_cache_len=self.room)}
        # Causality hides the columns that are not written yet.
        padded = torch.nn.functional.pad(mask, (0, self.room - columns), value=1)
        self.cache_of(rows).reset()
        return ReservedReading(self, padded, list(range(rows)) if alike is None else alike)

    def _reaches(self, rows: int) -> bool:
        """Whether what is reserved has so many rows that can be used by themselves."""
        if rows > self._rows:
            return False
        whole = self._caches[self._rows]
        return movable(whole) and bool(whole.is_initialized)

    def cache_of(self, rows: int) -> Any:
        """The first ``rows`` of the reserved tensors."""
        if rows not in self._caches:
            self._caches[rows] = first_rows(self._caches[self._rows], rows)
        return self._caches[rows]


class ReservedReading:
    """``_decoding.Reading`` with such a cache."""

    def __init__(self, reserved: Reserved, mask: Int[Tensor, "b room"], alike: Sequence[int]) -> None:
        self._reserved = reserved
        self._mask = mask
        self._alike = alike
        self._cache = reserved.cache_of(len(mask))
        self.movable = movable(self._cache)
        self._sizes = sizes_below(len(mask)) if self.movable else []

    def __call__(self, ids: Int[Tensor, "b n"], positions: Int[Tensor, "b n"], stop: int) -> Float[Tensor, "b vocab"]:
        """Logits after the next columns."""
        if stop == ids.shape[1]:
            return self._prompts(ids, positions)
        if self._reserved.decoding == "compiled":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        # Contiguous: a slice's strides tell how wide the prompts are, and each width would be compiled anew.
        now = positions.contiguous()
        logits: Tensor = self._reserved.one_token(self._reserved.module, ids, self._mask, now, self._cache)
        return logits

    def rows_for(self, live: int) -> int:
        """The least of a few sizes that has room for them."""
        return min((size for size in self._sizes if size >= live), default=len(self._mask))

    def keep(self, rows: Int[Tensor, "k"]) -> None:
        """Go on with these rows, moved to the front of the reserved tensors."""
        before, self._cache = self._cache, self._reserved.cache_of(len(rows))
        self._mask = self._mask[rows]
        self._sizes = [size for size in self._sizes if size < len(rows)]
        for old, new in zip(before.layers, self._cache.layers, strict=True):
            new.keys.copy_(old.keys[rows])
            new.values.copy_(old.values[rows])
            # The length is one tensor for all; layers with a window count it on the host as well.
            vars(new).update({name: held for name, held in vars(old).items() if name == "cumulative_length_int"})

    def _prompts(self, ids: Tensor, positions: Tensor) -> Tensor:
        from transformers.cache_utils import StaticLayer

        module, width = self._reserved.module, ids.shape[1]
        mask = self._mask[:, :width]
        if self._reserved.packing and all(type(layer) is StaticLayer for layer in self._cache.layers):
            pieces = pieces_of(mask.sum(dim=1).tolist(), self._alike, width, ragged=True, device=ids.device)
            if pieces:
                return read_in_pieces(module, self._cache, ids, mask, positions, pieces, self._alike)
        return forward(module, ids, self._mask, positions, self._cache)


def sizes_below(rows: int) -> list[int]:
    """Powers of two, so that batches of different sizes share them."""
    sizes = [2**power for power in range(rows.bit_length())]
    return [size for size in sizes if max(LEAST_ROWS, rows / SMALLEST) <= size < rows]


def movable(cache: Any) -> bool:
    """Whether its rows can be moved: a layer that holds states instead of keys and values stays as it is."""
    from transformers.cache_utils import StaticLayer, StaticSlidingWindowLayer

    return all(type(layer) in (StaticLayer, StaticSlidingWindowLayer) for layer in cache.layers)


def first_rows(cache: Any, rows: int) -> Any:
    """A cache over the first rows of another: the same memory and the same length."""
    part = copy(cache)
    part.layers = [copy(layer) for layer in cache.layers]
    for layer in part.layers:
        layer.keys, layer.values = layer.keys[:rows], layer.values[:rows]
        layer.batch_size = rows
        torch._dynamo.mark_static_address(layer.keys)
        torch._dynamo.mark_static_address(layer.values)
    return part
