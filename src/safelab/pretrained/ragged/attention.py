"""Attention over a stream of rows without padding, in which each token sees its own row only: see ``layout``.

    o_i = sum_j softmax_j(scale q_i k_j) v_j      over the j of i's row with j <= i (and i - j < window)

``transformers`` runs the attention that is registered under the name in a model's configuration, and hands on to it the
arguments of the forward pass that it does not know itself. So a model is told of the stream by arguments; without them
this is torch's attention as ``transformers`` calls it, for decoding.

- In half precision on a GPU: torch's flash attention for rows of unequal length, one call.
- Elsewhere: the segments in blocks of like length, see ``blocks``.

Ref: Dao 2023, arXiv 2307.08691.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from safelab.pretrained.ragged.blocks import Blocks, blocks_of
from safelab.pretrained.ragged.layout import Layout, on_device

NAME = "safelab"
"""Under which ``transformers`` knows this attention."""

KNOWN = {"sliding_window", "is_causal", "use_cache", "position_ids", "output_attentions", "output_hidden_states"}
"""Arguments that a model may hand on beside ours. Another that is set (a cap, a sink) changes what attention is."""

SPARE = 1.1
"""See ``blocks.alike``: what is computed for padding grows with the square of a length, one call more costs little."""


def arguments(layout: Layout, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What the forward pass of a model is given besides tokens and positions, so that its attention knows the rows."""
    if not has_flash(device, dtype):
        return {"blocks": blocks_of(layout.segments, device, SPARE)}
    queries = np.cumsum([0, *(segment.length for segment in layout.segments)])
    keys = np.cumsum([0, *(segment.seen for segment in layout.segments)])
    shared = any(segment.prefix for segment in layout.segments)
    kept = np.concatenate([segment.keys() for segment in layout.segments]) if shared else np.empty(0, dtype=np.int64)
    starts, seen, places = on_device(device, queries, keys, kept)
    return {
        "cu_seq_lens_q": starts.int(),
        "cu_seq_lens_k": seen.int(),
        "max_length_q": rounded(max(segment.length for segment in layout.segments)),
        "max_length_k": rounded(max(segment.seen for segment in layout.segments)),
        "kept": places if shared else None,
    }


def rounded(length: int) -> int:
    """The next power of two: a compiled pass is made anew for each number, and a kernel only needs a bound."""
    return 1 << (length - 1).bit_length()


def has_flash(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch has attention for rows of unequal length there."""
    return device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) and FLASH is not None


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    blocks: Blocks | None = None,
    cu_seq_lens_q: Tensor | None = None,
    cu_seq_lens_k: Tensor | None = None,
    max_length_q: int = 0,
    max_length_k: int = 0,
    kept: Tensor | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """As ``transformers`` calls it: output with the heads behind the tokens, [b, n, h, d], and no weights.

    It is traced by ``torch.compile``, so its tensors have no shapes that would be checked: query [b, h, n, d], key and
    value [b, g, m, d] with g of the h heads, the ends of the rows [s + 1], ``kept`` the keys' places in the stream.

    Raises:
        NotImplementedError: the model hands on something that changes what attention is.
    """
    if blocks is None and cu_seq_lens_q is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        if query.shape[2] == 1 and attention_mask is not None and query.shape[1] > key.shape[1]:
            return one_token(query, key, value, attention_mask, scaling), None
        given = {"scaling": scaling, "dropout": dropout, **rest}
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **given)
        return output, None
    for name, given in rest.items():
        if given is not None and given is not False and name not in KNOWN:
            raise NotImplementedError(f"attention over a stream knows no {name}")
    window = rest.get("sliding_window")
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    if blocks is not None:
        return by_blocks(q, k, v, blocks, scaling, window)[None], None
    if kept is not None:
        k, v = k.index_select(0, kept), v.index_select(0, kept)
    assert FLASH is not None
    # As torch counts, the window is what is seen besides a token itself.
    bounds = (-1 if window is None else window - 1, 0)
    output = FLASH(
        q, k, v, cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k, scale=scaling, window_size=bounds
    )  # fmt: skip
    return output[None], None


def one_token(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scaling: float | None,
) -> Tensor:
    """Of a step of decoding, [b, 1, h, d], with fewer heads for keys: those that share one stand in for queries.

    Repeating the keys for every head, as is done elsewhere, would copy the whole cache at each token.
    """
    batch, groups, width = query.shape[0], key.shape[1], query.shape[-1]
    shared = query.reshape(batch, groups, -1, width)
    output = scaled_dot_product_attention(shared, key, value, attn_mask=mask, scale=scaling)
    return output.reshape(batch, 1, -1, value.shape[-1])


def _flash() -> Callable[..., Any] | None:
    """Torch's attention for rows of unequal length, which has fewer heads for keys where the model has; from 2.10 on.

    A query sees the keys up to its own, both counted from the row's end: what a prefix needs.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    if "window_size" not in signature(varlen_attn).parameters:
        return None
    if "enable_gqa" not in signature(varlen_attn).parameters:  # it always could, before it wanted to be asked
        return varlen_attn

    def grouped(*tensors: Any, **named: Any) -> Any:
        return varlen_attn(*tensors, **named, enable_gqa=True)

    return grouped


FLASH = _flash()


# A graph of its own for every number of blocks would be compiled again and again.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def by_blocks(
    q: Float[Tensor, "n h d"],
    k: Float[Tensor, "n g d"],
    v: Float[Tensor, "n g d"],
    blocks: Blocks,
    scaling: float | None,
    window: int | None,
) -> Float[Tensor, "n h d"]:
    """Block by block, each a padded batch."""
    if (groups := q.shape[1] // k.shape[1]) > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    outputs = []
    batches = zip(blocks.blocks, blocks.as_queries(q), blocks.as_keys(k), blocks.as_keys(v), strict=True)
    for block, *states in batches:
        queries, keys, values = (each.transpose(1, 2) for each in states)
        mask = block.visible(window, q.device)
        output = scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=mask is None, scale=scaling
        )  # fmt: skip
        outputs.append(output.transpose(1, 2))
    return blocks.in_stream(outputs)


def register() -> None:
    """Make ``transformers`` know it, with the masks that it makes for torch's attention."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def tells_windows(read: Callable[[], object]) -> bool:
    """Whether a model tells its attention of all that its masks hide besides the future; a stream has no such masks.

    A window longer than what is read shows in no number, so that it is asked for by name. Chunks are masked only.

    Args:
        read: lets the model, whose attention is ours, read something.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    masked: set[int | None] = set()
    told: set[int | None] = set()

    def mask(*given: Any, local_size: int | None = None, **named: Any) -> Any:
        masked.add(local_size)
        return sdpa_mask(*given, local_size=local_size, **named)

    def attend(*given: Any, sliding_window: int | None = None, **named: Any) -> Any:
        told.add(sliding_window)
        return attention(*given, sliding_window=sliding_window, **named)

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, mask)
    try:
        read()
    finally:
        register()
    return masked - {None} == told - {None}
