"""Decoding into a cache that grows with each token: nothing is reserved, and attention reads no more than there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from safelab.parts.policy._decoding import LEAST_ROWS
from safelab.parts.policy._prefill import forward, pieces_of, read_in_pieces


@dataclass(frozen=True, slots=True)
class Growing:
    """``_decoding.Memory`` that begins with nothing in each rollout.

    ``packing``: whether prompts may be read in several passes, and one that several rows have only once.
    """

    module: Any
    packing: bool = True

    def begin(self, mask: Int[Tensor, "b s"], alike: Sequence[int] | None = None) -> "GrowingReading":
        """Reading with an empty cache."""
        return GrowingReading(self.module, mask, alike, packing=self.packing)


class GrowingReading:
    """``_decoding.Reading`` with such a cache.

    The cache of a recurrent model holds its states instead, and has another name; padding is kept out of them when
    they are made, so such a model is given the mask of the new columns alone.
    """

    movable = True

    def __init__(self, module: Any, mask: Int[Tensor, "b s"], alike: Sequence[int] | None, *, packing: bool) -> None:
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        self._module = module
        self._packing = packing
        self._mask = mask
        self._alike = list(range(len(mask))) if alike is None else alike
        self._recurrent = "cache_params" in signature(module.forward).parameters
        self._cache = DynamicCache(config=module.config)
        self._plain = not self._recurrent and all(type(layer) is DynamicLayer for layer in self._cache.layers)
        self._padded = True
        self._ask_nothing(True)

    def __call__(self, ids: Int[Tensor, "b n"], positions: Int[Tensor, "b n"], stop: int) -> Float[Tensor, "b vocab"]:
        """Logits after the next columns."""
        start = stop - ids.shape[1]
        if self._recurrent:
            return self._read_on(ids, self._mask[:, start:stop])
        if start == 0:
            return self._prompts(ids, positions)
        # A mask of True alone would cost attention its faster way.
        mask = self._mask[:, :stop] if self._padded else None
        return forward(self._module, ids, mask, positions, self._cache)

    def rows_for(self, live: int) -> int:
        """Fewer as soon as a quarter of them has ended."""
        rows = len(self._mask)
        return max(live, min(rows, LEAST_ROWS)) if 4 * live <= 3 * rows else rows

    def keep(self, rows: Int[Tensor, "k"]) -> None:
        """Go on with these rows alone."""
        self._cache.reorder_cache(rows)
        self._mask = self._mask[rows]

    def _prompts(self, ids: Tensor, positions: Tensor) -> Tensor:
        width = ids.shape[1]
        mask = self._mask[:, :width]
        lengths = mask.sum(dim=1).tolist()
        self._padded = min(lengths) < width
        self._ask_nothing(self._padded)
        pieces = pieces_of(lengths, self._alike, width, ragged=self._plain, device=ids.device)
        if not (self._packing and pieces):
            return forward(self._module, ids, mask, positions, self._cache)
        if self._plain:
            return read_in_pieces(self._module, self._cache, ids, mask, positions, pieces, self._alike)
        (rows,) = (piece.rows for piece in pieces)
        logits = forward(self._module, ids[rows], mask[rows], positions[rows], self._cache)
        repeated = mask.new_tensor([rows.index(first) for first in self._alike])
        self._cache.reorder_cache(repeated)
        return logits[repeated]

    def _ask_nothing(self, masked: bool) -> None:
        """Keep ``transformers`` from asking at each token whether a mask is all True: the host would wait.

        It does not ask of a cache that may be compiled, but makes a mask even where none is given. It reads this
        nowhere else but in its own ``generate``.
        """
        for layer in self._cache.layers:
            layer.is_compileable = masked

    def _read_on(self, ids: Tensor, new: Tensor) -> Tensor:
        """A recurrent model, which has no positions."""
        output = self._module(
            input_ids=ids, attention_mask=new, cache_params=self._cache, use_cache=True, logits_to_keep=1
        )
        logits: Tensor = output.logits[:, -1]
        return logits
