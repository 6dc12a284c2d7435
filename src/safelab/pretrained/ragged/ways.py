"""One look at a model when it is loaded: the cheapest way in which it reads ragged rows as it reads each by itself.

    rows        of 14 and 8 tokens, each twice, so that two share a prompt
    error       rms over the width of (states - states of the row by itself), each less its mean; the median over tokens
    spread      the same rms of (those of the row by itself - their mean over its tokens): what a context changes at all

Wrong ways (a token that sees its neighbour row, padding that is seen) have error / spread near 1. The median bears
single tokens that rounding sends to another expert.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.pretrained.heads import backbone, head_is_plain
from safelab.pretrained.load import FAULTS
from safelab.pretrained.ordinary import ordinary_tokens
from safelab.pretrained.ragged.attention import NAME, register, tells_windows
from safelab.pretrained.ragged.row_states import RowReader, Tokens
from safelab.pretrained.ragged.stream import Way

LONG, SHORT, WRITTEN = 9, 3, 5
"""Tokens of both prompts, and of what follows each."""

TOLERATED = {torch.float32: 0.01, torch.bfloat16: 0.25, torch.float16: 0.1}
"""Error over spread: well above what rounding leaves after many layers, well below what any real fault makes."""


def reader_of(module: Any, tokenizer: Any, *, learns: bool = False) -> RowReader | None:
    """How a model's head is read without padding; None if it has to be read as it stands.

    Args:
        module: of ``transformers``, in ``eval`` mode; its attention is replaced where that serves.
        tokenizer: its own.
        learns: whether it will be in training mode. A model with dropout then is read as it stands: what reads a
            stream knows none.
    """
    try:
        if not head_is_plain(module, module.device) or (learns and is_random(module, tokenizer)):
            return None
        way = way_of(module, tokenizer)
    except torch.OutOfMemoryError:
        raise
    except FAULTS:
        return None
    return None if way == "padded" else RowReader(module, way)


@torch.no_grad()
def way_of(module: Any, tokenizer: Any) -> Way:
    """The cheapest way in which the model reads ragged rows as it reads each by itself, in a few short passes.

    As a stream where its attention can be replaced, which then stays; else in rows of like length.
    """
    tokens = ordinary_tokens(tokenizer, LONG + SHORT + 2 * WRITTEN)
    first, second = tokens[: LONG + WRITTEN], tokens[LONG + WRITTEN :]
    rows = [(first[:LONG], first[LONG:])] * 2 + [(second[:SHORT], second[SHORT:])] * 2
    if module.config._attn_implementation == "sdpa":
        alone = states_alone(module, rows)
        register()
        module.set_attn_implementation(NAME)
        if tells_windows(lambda: states_alone(module, rows)) and reads_as(module, "stream", rows, alone):
            return "stream"
        module.set_attn_implementation("sdpa")
    return "rows" if reads_as(module, "rows", rows, states_alone(module, rows)) else "padded"


def states_alone(module: Any, rows: Sequence[tuple[Tokens, Tokens]]) -> list[Float[Tensor, "_ d"]]:
    """Of each row by itself: no padding, no mask, no positions, no cache."""
    body = backbone(module)
    found = []
    for prompt, rest in rows:
        ids = torch.tensor([[*prompt, *rest]], device=module.device)
        found.append(body(input_ids=ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 :])
    return found


def reads_as(
    module: Any, way: Way, rows: Sequence[tuple[Tokens, Tokens]], alone: Sequence[Float[Tensor, "_ d"]]
) -> bool:
    """Whether the model can be read that way, and makes the states that it makes of each row by itself."""
    try:
        found = RowReader(module, way).states(rows)
    except torch.OutOfMemoryError:
        raise
    except FAULTS:
        return False
    pairs = zip(found, alone, strict=True)
    return all(error_of(mine.float(), own.float()) <= TOLERATED[module.dtype] for mine, own in pairs)


@torch.no_grad()
def looks_back(module: Any, tokenizer: Any) -> bool:
    """Whether the state of a token depends on it and on those before it only."""
    ids = torch.tensor([ordinary_tokens(tokenizer, LONG + WRITTEN)], device=module.device)
    whole, begun = (
        backbone(module)(input_ids=ids[:, :end], use_cache=False).last_hidden_state for end in (LONG + WRITTEN, LONG)
    )
    return error_of(whole[:, :LONG].float(), begun.float()) <= TOLERATED[module.dtype]


@torch.no_grad()
def is_random(module: Any, tokenizer: Any) -> bool:
    """Whether two passes in training mode differ: dropout, of whatever kind."""
    ids = torch.tensor([ordinary_tokens(tokenizer, LONG + WRITTEN)], device=module.device)
    devices = [module.device] if module.device.type == "cuda" else []
    module.train()
    try:
        with torch.random.fork_rng(devices=devices):
            first, second = (backbone(module)(input_ids=ids, use_cache=False).last_hidden_state for _ in range(2))
    finally:
        module.eval()
    return not torch.equal(first, second)


def error_of(found: Float[Tensor, "*b t k"], alone: Float[Tensor, "*b t k"]) -> float:
    """The largest over the rows of error / spread."""
    error = rms(found - alone).median(dim=-1).values
    spread = rms(alone - alone.mean(dim=-2, keepdim=True)).median(dim=-1).values
    return float((error / spread).max())


def rms(values: Float[Tensor, "*t k"]) -> Float[Tensor, "*t"]:
    """Over the width or the vocabulary, less the mean, which changes no probability."""
    return (values - values.mean(dim=-1, keepdim=True)).square().mean(dim=-1).sqrt()
