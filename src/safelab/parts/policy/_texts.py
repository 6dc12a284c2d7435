"""Between texts and tokens: prompts as the policy goes on from them, responses as it would have written them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from safelab.corpus.continuation import answer_ids, plain_ids, prompt_ids, response_text
from safelab.corpus.dialogue import Template, chat_text, messages
from safelab.errors import DataError


@dataclass(frozen=True, slots=True)
class Texts:
    """A tokenizer, and how prompts are written for the model; see ``LanguageModel`` for the keys."""

    tokenizer: Any
    template: Template
    max_prompt_tokens: int

    @property
    def end(self) -> int:
        """Number of the end token."""
        return int(self.tokenizer.eos_token_id)

    @property
    def pad(self) -> int:
        """Number of the padding token, which is the end token where the tokenizer has no other."""
        pad = self.tokenizer.pad_token_id
        return self.end if pad is None else int(pad)

    def prompts(self, texts: Sequence[str]) -> tuple[Int[Tensor, "b p"], Bool[Tensor, "b p"]]:
        """Prompts as tokens, padded on the left, and their mask; a prompt that is too long keeps its end.

        Raises:
            DataError: the policy cannot read one of them.
        """
        return padded([self._row(text)[-self.max_prompt_tokens :] for text in texts], self.pad, "left")

    def responses(
        self, prompts: Sequence[str], texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses as tokens, padded on the right; one without any token has the end token, so that it has one."""
        rows = []
        for prompt, text, end in zip(prompts, texts, ended, strict=True):
            own = answer_ids(self.tokenizer, self._written(prompt), text)
            rows.append([*own, self.end][:max_tokens] if end or not own else own[:max_tokens])
        return padded(rows, self.pad, "right")

    def count(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut.

        Raises:
            DataError: the policy cannot read it.
        """
        return len(self._row(text))

    def decode(self, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """The text that each response adds to its prompt, without special tokens."""
        rows = zip(prompts, responses, strict=True)
        return tuple(response_text(self.tokenizer, prompt, response) for prompt, response in rows)

    def _row(self, prompt: str) -> list[int]:
        """Token ids of a prompt; with a chat template, up to and with what opens the assistant's answer."""
        written = self._written(prompt)
        # A chat template has written the special tokens already.
        row = prompt_ids(self.tokenizer, written) if self.template == "plain" else plain_ids(self.tokenizer, written)
        if not row:
            raise DataError(
                f"prompts must have at least one token of the policy's tokenizer, and {prompt[:80]!r} has none"
            )
        return row

    def _written(self, prompt: str) -> str:
        """The prompt as it stands before the answer."""
        if self.template == "plain":
            return prompt
        chat = messages(self.template, prompt)
        return chat_text(self.tokenizer, chat, prompt, "policy.prompt_template", self.template, opened=True)


def padded(
    rows: Sequence[Sequence[int]], pad: int, side: Literal["left", "right"]
) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
    """Rows of one length, and where their own tokens stand."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(len(row))
        ids[index, place] = torch.tensor(row)
        mask[index, place] = True
    return ids, mask


def rows_of(ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> list[list[int]]:
    """The same without the padding."""
    return [row[keep].tolist() for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]
