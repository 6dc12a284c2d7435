"""Where each token stands when ragged rows are read without padding: one stream, row behind row.

    padded     . . p p p r r .      stream     p p p r r | p p r r r r | ...
               . . . p p r r r r

Rows that answer the same prompt may share it: it stands once in the stream, and each response sees it as its prefix.

    p p p | r r | r r r r | r         three responses to one prompt
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbours in the stream, of which each sees those before it, and all of a prefix that stands elsewhere."""

    start: int
    length: int
    prefix_start: int = 0
    prefix: int = 0

    @property
    def seen(self) -> int:
        """Tokens that its last token sees, itself included."""
        return self.prefix + self.length

    def keys(self) -> Places:
        """The places in the stream of all that it sees: prefix, then its own."""
        prefix = np.arange(self.prefix_start, self.prefix_start + self.prefix)
        return np.concatenate([prefix, np.arange(self.start, self.start + self.length)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A stream of N tokens, made of b padded rows of s = p + t columns.

    ``source`` [N]: where each token is taken from, of the b s places of the padded rows. ``positions`` [N]: counted
    from its row's first token. ``outputs`` [b, t + 1]: the token whose state predicts response column i; behind a
    row's last token it is that token again, which nothing reads.
    """

    source: Places
    positions: Places
    outputs: Places
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.source)


def on_device(device: torch.device, *arrays: Places) -> list[Int[Tensor, "..."]]:
    """Arrays of places as tensors there, in one transfer."""
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays])).to(device)
    pieces = torch.split(flat, [array.size for array in arrays])
    return [piece.view(array.shape) for piece, array in zip(pieces, arrays, strict=True)]


def layout_of(
    prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], mask: Bool[Tensor, "b t"], *, share: bool
) -> Layout:
    """The stream of prompts that are padded on the left and responses that are padded on the right.

    Args:
        prompt_ids: tokens of the prompts.
        prompt_mask: True for a prompt's tokens.
        mask: True for a response's tokens.
        share: whether neighbours with the same prompt read it once.
    """
    # One transfer for all of it: each would hold up the device.
    counts = [prompt_mask.sum(dim=1), mask.sum(dim=1)]
    if share:
        same = (prompt_ids[1:] == prompt_ids[:-1]).all(dim=1) & (prompt_mask[1:] == prompt_mask[:-1]).all(dim=1)
        counts.append(torch.nn.functional.pad(same, (1, 0)))
    lengths, responses, *repeats = torch.stack([count.long() for count in counts]).tolist()
    repeated = [bool(again) for again in repeats[0]] if share else [False] * len(lengths)
    return lay_out(lengths, responses, repeated, prompt_mask.shape[1], mask.shape[1])


def lay_out(
    prompts: Sequence[int], responses: Sequence[int], repeated: Sequence[bool], width: int, columns: int
) -> Layout:
    """The same from lengths: of prompts that end at column ``width`` and responses that begin there.

    Args:
        prompts: tokens of each row's prompt.
        responses: tokens of each row's response, at most ``columns``.
        repeated: whether a row's prompt is that of the row before it, and stands in the stream already.
        width: columns of the prompts.
        columns: of the responses.
    """
    source, positions, outputs, segments = [], [], [], []
    at = start = 0
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        first = row * (width + columns) + width
        shared = row + 1 < len(prompts) and repeated[row + 1]
        if not repeated[row]:
            start = at
            source.append(np.arange(first - prompt, first))
            positions.append(np.arange(prompt))
            segments.append(Segment(at, prompt if shared else prompt + response))
            at += prompt
        if repeated[row] or shared:
            segments.append(Segment(at, response, start, prompt))
        source.append(np.arange(first, first + response))
        positions.append(np.arange(prompt, prompt + response))
        outputs.append([start + prompt - 1, *range(at, at + response), *[at + response - 1] * (columns - response)])
        at += response
    return Layout(
        source=np.concatenate(source),
        positions=np.concatenate(positions),
        outputs=np.asarray(outputs, dtype=np.int64),
        segments=tuple(segment for segment in segments if segment.length),
    )
