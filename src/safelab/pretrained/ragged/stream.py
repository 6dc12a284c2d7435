"""How a model of ``transformers`` reads a stream of rows (see ``layout``): in one pass, or in rows of like length."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.pretrained.ragged.attention import arguments, has_flash
from safelab.pretrained.ragged.blocks import alike, blocks_of
from safelab.pretrained.ragged.layout import Layout, on_device

Way = Literal["padded", "rows", "stream"]
"""How a model reads ragged rows.

- ``padded``: all as wide as the widest prompt and the widest response, whatever stands there.
- ``rows``: in order of length, a few batches of rows of like length, padded on the right only. For any causal model.
- ``stream``: one row behind the other, without padding. For a model whose attention can be replaced.
"""


SPARE = 1.25
"""See ``blocks.alike``: what is computed for padding grows with a length, one pass more costs all its launches."""


def states_of_rows(
    body: Callable[..., Any], sequence_ids: Int[Tensor, "b s"], layout: Layout, way: Way, dtype: torch.dtype
) -> Float[Tensor, "b t1 d"]:
    """Last hidden states of the last prompt token and of every response column of padded rows, read without padding.

    Args:
        body: the model below its head.
        sequence_ids: prompts and responses, side by side.
        layout: of these rows, see ``layout_of``.
        way: ``stream`` or ``rows``.
        dtype: of the model's weights.
    """
    source, outputs = on_device(sequence_ids.device, layout.source, layout.outputs)
    return read_stream(body, sequence_ids.flatten()[source], layout, way, dtype)[outputs]


def read_stream(
    body: Callable[..., Any], ids: Int[Tensor, "n"], layout: Layout, way: Way, dtype: torch.dtype
) -> Float[Tensor, "n d"]:
    """Last hidden states of all tokens of the stream, [n, d].

    Args:
        body: the model below its head.
        ids: tokens of the stream.
        layout: where its rows are.
        way: ``stream``, or ``rows``, which knows no shared prompts.
        dtype: of the model's weights.
    """
    length = length_of_all(layout)
    if length is not None and not has_flash(ids.device, dtype):
        states: Tensor = body(input_ids=ids.view(-1, length), use_cache=False).last_hidden_state
        return states.flatten(0, 1)
    return one_pass(body, ids, layout, dtype) if way == "stream" else row_passes(body, ids, layout)


def length_of_all(layout: Layout) -> int | None:
    """Of rows of one length, none of which shares a prompt: they are a batch as they stand."""
    lengths = {segment.length for segment in layout.segments}
    return lengths.pop() if len(lengths) == 1 and not any(segment.prefix for segment in layout.segments) else None


def one_pass(
    body: Callable[..., Any], ids: Int[Tensor, "n"], layout: Layout, dtype: torch.dtype
) -> Float[Tensor, "n d"]:
    """All rows in one; its attention keeps them apart."""
    output = body(
        input_ids=ids[None],
        position_ids=torch.from_numpy(layout.positions).to(ids.device)[None],
        # A mask of four dimensions is taken as it is: none is made, and this one is not read.
        attention_mask=torch.zeros(1, 1, 1, 1, device=ids.device),
        use_cache=False,
        **arguments(layout, ids.device, dtype),
    )
    states: Tensor = output.last_hidden_state[0]
    return states


def row_passes(body: Callable[..., Any], ids: Int[Tensor, "n"], layout: Layout) -> Float[Tensor, "n d"]:
    """A pass for each length, roughly. Causality hides the padding on the right, so that no mask is needed."""
    made = blocks_of(layout.segments, ids.device, SPARE)
    return made.in_stream(
        [
            body(
                input_ids=batch,
                position_ids=torch.arange(batch.shape[1], device=ids.device).expand_as(batch),
                use_cache=False,
            ).last_hidden_state
            for batch in made.as_queries(ids)
        ]
    )


def positions_read(layout: Layout, way: Way) -> int:
    """How many positions go through the model's layers, padding included."""
    if way == "stream":
        return len(layout)
    return sum(len(group) * max(segment.length for segment in group) for group in alike(layout.segments, SPARE))
