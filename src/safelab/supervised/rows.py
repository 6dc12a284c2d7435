"""Texts as token numbers, and rows of them as tensors: what every lesson reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from safelab.corpus.continuation import answer_ids, plain_ids, prompt_ids
from safelab.corpus.dialogue import Template, chat_text, messages
from safelab.errors import DataError

T = TypeVar("T")


MARK = "\N{SYMBOL FOR END OF TEXT}answer\N{SYMBOL FOR END OF TEXT}"
"""In an answer's place it shows where the chat template writes one."""


class Row(NamedTuple):
    """Token numbers of a prompt and of an answer to it; the answer's end token belongs to the answer."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True, slots=True)
class Reading:
    """How prompts and answers become tokens. ``ends``: what ends a response of the model, the tokenizer's own first."""

    tokenizer: Any
    template: Template
    max_tokens: int
    ends: tuple[int, ...]

    def row(self, prompt: str, answer: str) -> Row:
        """Ids of prompt and answer, cut so that at least one token of the prompt and the answer's beginning stay.

        An end token follows the answer, where the cut leaves room for it.

        Raises:
            DataError: the prompt has no token, or the chat template refuses it.
        """
        if self.template == "plain":
            start = prompt_ids(self.tokenizer, prompt)
            rest = [*answer_ids(self.tokenizer, prompt, answer), self.ends[0]]
        else:
            start, rest = self._chat(prompt, answer)
        if not start:
            raise DataError(
                f"prompts must have at least one token of the model's tokenizer, and {prompt[:80]!r} has none"
            )
        rest = rest[: self.max_tokens - 1]
        return Row(start[-(self.max_tokens - len(rest)) :], rest)

    def _chat(self, prompt: str, answer: str) -> tuple[list[int], list[int]]:
        """The same in the words of the chat template: the answer begins behind what opens the assistant's turn.

        What closes the turn is learnt up to the first token that ends a response (Llama's ``<|eot_id|>``, ChatML's
        ``<|im_end|>``), for nothing is written after that. Where the template closes with a special token that ends no
        response of this model, that one is learnt and the tokenizer's end behind it.
        """
        chat = messages(self.template, prompt)
        turn = {"role": "assistant", "content": answer.strip()}
        opened = chat_text(self.tokenizer, chat, prompt, "template", self.template, opened=True)
        whole = chat_text(self.tokenizer, [*chat, turn], prompt, "template", self.template, opened=False)
        start = plain_ids(self.tokenizer, opened)
        if not whole.startswith(opened):  # some templates open a turn with more than what they write of a past one
            return start, [*answer_ids(self.tokenizer, opened, turn["content"]), self.ends[0]]
        marked = chat_text(
            self.tokenizer, [*chat, {**turn, "content": MARK}], prompt, "template", self.template, opened=False
        )
        until = len(whole) - len(marked.rpartition(MARK)[2])
        said = len(answer_ids(self.tokenizer, opened, whole[len(opened) : until]))
        rest = answer_ids(self.tokenizer, opened, whole[len(opened) :])
        special = {*self.tokenizer.all_special_ids}
        closing = next((place for place in range(said, len(rest)) if rest[place] in special), None)
        if closing is None:
            return start, [*rest[:said], self.ends[0]]
        end = next((place for place in range(closing, len(rest)) if rest[place] in self.ends), None)
        return start, rest[: end + 1] if end is not None else [*rest[: closing + 1], self.ends[0]]


def ids_of(rows: Sequence[Row]) -> Int[Tensor, "b s"]:
    """Each prompt with its answer, filled up with zeros.

    Padding on the right needs no attention mask and no token of its own: a causal model does not look there.
    """
    return pad_right([row.prompt + row.answer for row in rows], 0)


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "b s"]:
    """Rows of unequal length as one tensor, as wide as the longest."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=value)


def of_pairs(sizes: Sequence[int]) -> list[int]:
    """The sum of each pair's two sizes, where those of all better answers stand before those of the worse."""
    half = len(sizes) // 2
    return [better + worse for better, worse in zip(sizes[:half], sizes[half:], strict=True)]


def cut(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Batches of ``size`` in the order of ``items``; the last may be smaller."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
