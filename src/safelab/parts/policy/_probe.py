"""One look at a model when it is loaded: it must read padded prompts, and go on with its cache, as it reads plainly.

    rows        a prompt of nine tokens, and one of three that is padded to nine on the left; five given tokens each
    plain       each row by itself: no padding, no mask, no positions, no cache
    error       rms over the vocabulary of (logits - plain logits), each less its mean; the median over columns
    spread      the same rms of (plain logits - their mean over columns): what a context changes at all

A model that loses its cache, or whose positions padding moves, has error / spread near 1; rounding leaves 1e-6 in
float32. The median bears single columns in which rounding sends a token to another expert.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from safelab.errors import ConfigError
from safelab.parts.policy._decoding import Memory
from safelab.parts.policy._growing_cache import Growing
from safelab.parts.policy._reading import CausalReader
from safelab.parts.policy._static_cache import Reserved
from safelab.pretrained.load import FAULTS, reason_of
from safelab.pretrained.ordinary import ordinary_tokens
from safelab.pretrained.ragged.ways import LONG, SHORT, TOLERATED, WRITTEN, error_of


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read: the prompts, padded on the left, and the tokens that follow them."""

    ids: Int[Tensor, "b s"]
    mask: Int[Tensor, "b s"]

    @property
    def positions(self) -> Int[Tensor, "b s"]:
        """Counting from each row's first real token."""
        return (self.mask.cumsum(dim=1) - 1).clamp(min=0)


@contextmanager
def read(module: Any, path: str) -> Iterator[None]:
    """Within it, what the model cannot do at all is one message.

    Raises:
        ConfigError: the model raised.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except FAULTS as error:
        raise ConfigError(
            f"policy.path must be a causal language model that reads prompts padded on the left and decodes with a "
            f"cache, got {path!r}, a {type(module).__name__}, which fails at it: {reason_of(error)}; "
            "give a model of another architecture"
        ) from error


@torch.no_grad()
def probe(module: Any, tokenizer: Any, path: str) -> None:
    """Read two rows three ways, in nine short passes.

    Raises:
        ConfigError: padding or the cache changes what the model says, or what it says is no number.
    """
    batch = batch_for(module, tokenizer)
    plain = plain_logits(module, batch)
    if not bool(plain.isfinite().all()):
        raise ConfigError(
            f"policy.path must give finite logits, got {path!r} with NaN or infinity; try policy.dtype=float32"
        )
    padded, cached = uncached_logits(module, batch), cached_logits(Growing(module), batch)
    for must, found in (
        ("read a prompt that is padded on the left as it reads it without padding", error_of(padded[1:], plain[1:])),
        ("say with its cache, token by token, what it says without", error_of(cached, plain)),
    ):
        if found > TOLERATED[module.dtype]:
            raise ConfigError(
                f"policy.path must {must}, got {path!r}, a {type(module).__name__}, whose logits move by {found:.1g} "
                "of what a context changes: batches and responses would be wrong; give a model of another architecture"
            )


@torch.no_grad()
def check_fixed_cache(module: Any, tokenizer: Any) -> None:
    """Refuse a cache of fixed size with a model that loses what it read in one.

    Raises:
        ConfigError: it cannot be decoded that way, or says something else then.
    """
    batch = batch_for(module, tokenizer)
    try:
        found = error_of(cached_logits(Reserved(module, LONG + WRITTEN, "static"), batch), plain_logits(module, batch))
    except torch.OutOfMemoryError:
        raise
    except FAULTS as error:
        raise ConfigError(
            f"rollout.decoding must be dynamic for a {type(module).__name__}, which fails with a cache of fixed size: "
            f"{reason_of(error)}"
        ) from error
    if found > TOLERATED[module.dtype]:
        raise ConfigError(
            f"rollout.decoding must be dynamic for a {type(module).__name__}, which does not keep what it read in a "
            "cache of fixed size"
        )


def batch_for(module: Any, tokenizer: Any) -> Batch:
    """Ordinary tokens of the vocabulary, far apart in it."""
    tokens = ordinary_tokens(tokenizer, LONG + SHORT + 2 * WRITTEN)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    first, second = tokens[: LONG + WRITTEN], tokens[LONG + WRITTEN :]
    gap = LONG - SHORT
    ids = torch.tensor([first, [pad] * gap + second], device=module.device)
    mask = torch.ones_like(ids)
    mask[1, :gap] = 0
    return Batch(ids, mask)


def plain_logits(module: Any, batch: Batch) -> Float[Tensor, "b t vocab"]:
    """Each row by itself."""
    rows = [row[keep.bool()][None] for row, keep in zip(batch.ids, batch.mask, strict=True)]
    return torch.cat([module(input_ids=row, use_cache=False).logits[:, -WRITTEN - 1 :] for row in rows]).float()


def uncached_logits(module: Any, batch: Batch) -> Float[Tensor, "b t vocab"]:
    """As an update reads: hidden states of the whole batch, then the head."""
    head = module.get_output_embeddings()
    reader = CausalReader(module, 1.0)
    mask = batch.mask.bool()
    hidden = reader.hidden(batch.ids[:, :LONG], mask[:, :LONG], batch.ids[:, LONG:], mask[:, LONG:])
    logits: Tensor = head(hidden).float()
    return logits


def cached_logits(memory: Memory, batch: Batch) -> Float[Tensor, "b t vocab"]:
    """As a rollout reads: the prompts, then a column at a time; where rows may leave, they change places before."""
    read = memory.begin(batch.mask)
    order = torch.arange(2, device=batch.ids.device)
    bounds = [0, *range(LONG, LONG + WRITTEN + 1)]
    steps = []
    for start, stop in pairwise(bounds):
        steps.append(read(batch.ids[order, start:stop], batch.positions[order, start:stop], stop)[order])
        if stop == LONG and read.movable:
            order = order.flip(0)
            read.keep(order)
    return torch.stack(steps, dim=1).float()
