"""Reading the prompts of a rollout into a cache, each prompt once and with little padding.

Rows with one prompt are read as one row, whose keys and values are repeated. Rows of very different lengths are read in
several passes, each as wide as its own longest prompt, whose keys and values are put together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

COLUMNS_OF_A_PASS = {"cpu": 64}
"""What one pass more is taken to cost, in columns of a row, by kind of device; ``OTHERWISE`` on one where a pass of
few columns is mostly launches. Batches smaller than this are read in one pass as they are."""

OTHERWISE = 2048
"""A guess: no GPU has been asked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that are read in one pass, and the columns it has at the right end of the prompts."""

    rows: list[int]
    width: int


def pieces_of(
    lengths: Sequence[int], alike: Sequence[int], width: int, *, ragged: bool, device: torch.device
) -> list[Piece]:
    """How to read the prompts; nothing if that is one plain pass.

    Args:
        lengths: tokens of each row's prompt.
        alike: for each row the first row with the same prompt.
        width: columns of the batch.
        ragged: whether rows may be read apart.
        device: that reads them.
    """
    cost = COLUMNS_OF_A_PASS.get(device.type, OTHERWISE)
    firsts = sorted(set(alike), key=lambda row: (-lengths[row], row))
    if not ragged:
        pieces = [Piece(sorted(firsts), width)]
    else:
        found = cuts(firsts, lengths, cost)
        pieces = [Piece(sorted(firsts[start:stop]), lengths[firsts[start]]) for start, stop in found]
    spared = len(lengths) * width - sum(len(piece.rows) * piece.width for piece in pieces)
    return pieces if spared >= cost * len(pieces) else []


def cuts(order: Sequence[int], lengths: Sequence[int], cost: int) -> list[tuple[int, int]]:
    """Where to cut rows in falling order of length, so that columns read and passes (``cost`` each) are fewest."""
    best, last = [0], [0]
    for stop in range(1, len(order) + 1):
        costs = [best[start] + (stop - start) * lengths[order[start]] + cost for start in range(stop)]
        best.append(min(costs))
        last.append(costs.index(best[-1]))
    found, stop = [], len(order)
    while stop:
        found.append((last[stop], stop))
        stop = last[stop]
    return found[::-1]


def forward(module: Any, ids: Tensor, mask: Tensor | None, positions: Tensor, cache: Any) -> Tensor:
    """Logits after the last of the new columns; compiled where the cache has a fixed size."""
    output = module(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1]
    return logits


def read_in_pieces(
    module: Any,
    cache: Any,
    ids: Int[Tensor, "b p"],
    mask: Int[Tensor, "b p"],
    positions: Int[Tensor, "b p"],
    pieces: Sequence[Piece],
    alike: Sequence[int],
) -> Float[Tensor, "b vocab"]:
    """Fill ``cache``, whose layers all hold plain keys and values, and return the logits after the prompts."""
    from transformers import DynamicCache

    width = ids.shape[1]
    parts, logits = [], []
    for piece in pieces:
        rows, start = torch.tensor(piece.rows, device=ids.device), width - piece.width
        part = DynamicCache(config=module.config)
        logits.append(forward(module, ids[rows, start:], mask[rows, start:], positions[rows, start:], part))
        parts.append(part)
    places = {row: place for place, row in enumerate(row for piece in pieces for row in piece.rows)}
    order = torch.tensor([places[first] for first in alike], device=ids.device)
    for number, layers in enumerate(zip(*(part.layers for part in parts), strict=True)):
        # Columns that a piece does not have are padding, and masked.
        keys, values = (
            torch.cat([torch.nn.functional.pad(held, (0, 0, width - held.shape[-2], 0)) for held in each])[order]
            for each in ([layer.keys for layer in layers], [layer.values for layer in layers])
        )
        cache.update(keys, values, number)
        for layer in layers:  # one layer at a time is there twice
            layer.keys = layer.values = None
    return torch.cat(logits)[order]
