"""Texts as token numbers, and rows of them as tensors: what every lesson reads."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from safelab.corpus.continuation import answer_ids, prompt_ids
from safelab.errors import DataError

T = TypeVar("T")


class Row(NamedTuple):
    """Token numbers of a prompt and of an answer to it; the answer's end token belongs to the answer."""

    prompt: list[int]
    answer: list[int]


def answer_row(tokenizer: Any, prompt: str, answer: str, max_tokens: int) -> Row:
    """Ids of prompt and answer, cut so that at least one token of the prompt and the answer's beginning stay.

    The end token follows the answer, where the cut leaves room for it.

    Raises:
        DataError: the prompt has no token.
    """
    start = prompt_ids(tokenizer, prompt)
    if not start:
        raise DataError(f"prompts must have at least one token of the model's tokenizer, and {prompt[:80]!r} has none")
    rest = [*answer_ids(tokenizer, prompt, answer), tokenizer.eos_token_id][: max_tokens - 1]
    return Row(start[-(max_tokens - len(rest)) :], rest)


def ids_of(rows: Sequence[Row]) -> Int[Tensor, "b s"]:
    """Each prompt with its answer, filled up with zeros.

    Padding on the right needs no attention mask and no token of its own: a causal model does not look there.
    """
    return pad_right([row.prompt + row.answer for row in rows], 0)


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "b s"]:
    """Rows of unequal length as one tensor, as wide as the longest."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=value)


def cut(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Batches of ``size`` in the order of ``items``; the last may be smaller."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
