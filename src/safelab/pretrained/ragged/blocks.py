"""The segments of a stream in blocks of like length, each a padded batch: for attention that knows no unequal rows.

A block is padded on the right, where causality hides the padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from safelab.pretrained.ragged.layout import Places, Segment, on_device

ROOM = 8
"""A block's longest segment may be so many tokens longer than its shortest, besides what is spared."""


@dataclass(frozen=True, slots=True)
class Block:
    """``rows`` segments of like length, with ``width`` queries and ``seen`` keys each.

    ``prefix``: keys before the first query's own; None if no segment has any.
    """

    rows: int
    width: int
    seen: int
    prefix: Int[Tensor, "n"] | None

    def visible(self, window: int | None, device: torch.device) -> Bool[Tensor, "*n1 q k"] | None:
        """Which keys a query sees: up to its own, and none further back than ``window``; None for all up to its own."""
        unbounded = window is None or window >= self.seen
        if self.prefix is None and unbounded:
            return None
        key = torch.arange(self.seen, device=device)
        own = torch.arange(self.width, device=device)[:, None]
        if self.prefix is not None:
            own = own + self.prefix[:, None, None, None]
        seen = key <= own
        return seen if window is None or unbounded else seen & (key > own - window)


@dataclass(frozen=True, slots=True)
class Blocks:
    """All segments of a stream of n tokens.

    ``queries``, ``keys``: the places in the stream of what the blocks hold, block behind block. They are the same
    tensor where no segment has a prefix. ``back`` [n]: where among the queries each token of the stream is.
    """

    blocks: tuple[Block, ...]
    queries: Int[Tensor, "q"]
    keys: Int[Tensor, "k"]
    back: Int[Tensor, "n"]

    def as_queries(self, states: Tensor) -> list[Tensor]:
        """States of the stream, [n, ...], as a batch for each block: [rows, width, ...]."""
        # All at once: the gradient of each look-up fills a tensor as large as the stream.
        return _batches(states.index_select(0, self.queries), [(block.rows, block.width) for block in self.blocks])

    def as_keys(self, states: Tensor) -> list[Tensor]:
        """The same of all that each segment sees: [rows, seen, ...]."""
        return _batches(states.index_select(0, self.keys), [(block.rows, block.seen) for block in self.blocks])

    def in_stream(self, found: Sequence[Tensor]) -> Tensor:
        """What was found for the queries of each block, [rows, width, ...], in the order of the stream: [n, ...]."""
        return torch.cat([states.flatten(0, 1) for states in found]).index_select(0, self.back)


def _batches(states: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """States one behind the other as batches of ``rows`` and columns."""
    pieces = torch.split(states, [rows * columns for rows, columns in sizes])
    return [piece.view(*size, *piece.shape[1:]) for piece, size in zip(pieces, sizes, strict=True)]


def blocks_of(segments: Sequence[Segment], device: torch.device, spare: float) -> Blocks:
    """The segments in blocks of like length; see ``alike``."""
    queries, keys, prefixes = list[Places](), list[Places](), list[Places]()
    sizes = []
    offset = 0
    back = np.empty(sum(segment.length for segment in segments), dtype=np.int64)
    for group in alike(segments, spare):
        width, seen = max(segment.length for segment in group), max(segment.seen for segment in group)
        # What is repeated to fill a row up stands behind its last token, where no query that counts looks.
        for number, segment in enumerate(group):
            places = segment.keys()
            queries.append(np.pad(places[segment.prefix :], (0, width - segment.length), "edge"))
            keys.append(np.pad(places, (0, seen - segment.seen), "edge"))
            own = np.arange(segment.length)
            back[segment.start + own] = offset + number * width + own
        prefixed = any(segment.prefix for segment in group)
        prefixes.append(np.asarray([segment.prefix for segment in group] if prefixed else [], dtype=np.int64))
        sizes.append((len(group), width, seen))
        offset += width * len(group)
    shared = any(len(prefix) for prefix in prefixes)
    seen_at = [np.concatenate(keys)] if shared else []
    asked_at, back_at, *rest = on_device(device, np.concatenate(queries), back, *prefixes, *seen_at)
    blocks = [Block(*size, prefix if len(prefix) else None) for size, prefix in zip(sizes, rest, strict=False)]
    return Blocks(tuple(blocks), asked_at, rest[-1] if shared else asked_at, back_at)


def alike(segments: Sequence[Segment], spare: float) -> Iterator[list[Segment]]:
    """Segments in order of what they see, cut where the lengths grow apart; those with a prefix by themselves.

    Args:
        segments: in any order.
        spare: a block's longest is at most so many times as long as its shortest, plus ``ROOM``.
    """
    for prefixed in (False, True):
        group: list[Segment] = []
        for segment in sorted((s for s in segments if bool(s.prefix) == prefixed), key=lambda s: (s.seen, s.length)):
            if group and segment.seen > spare * group[0].seen + ROOM:
                yield group
                group = []
            group.append(segment)
        if group:
            yield group
