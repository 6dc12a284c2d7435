"""Between texts and tokens: prompts as the policy goes on from them, responses as it would have written them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from jinja2 import TemplateError
from torch import Tensor

from safelab.corpus.dialogue import Template, messages
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
        """Prompts as tokens, padded on the left, and their mask; a prompt that is too long keeps its end."""
        rows = [row[-self.max_prompt_tokens :] for row in token_rows(self.template, self.tokenizer, texts)]
        return padded(rows, self.pad, "left")

    def responses(
        self, texts: Sequence[str], ended: Sequence[bool], max_tokens: int | None
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Responses as tokens, padded on the right; one without any token has the end token, so that it has one."""
        rows = []
        for text, end in zip(texts, ended, strict=True):
            own = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            rows.append([*own, self.end][:max_tokens] if end or not own else own[:max_tokens])
        return padded(rows, self.pad, "right")

    def count(self, text: str) -> int:
        """Tokens of ``text`` as a prompt, before any cut."""
        return len(token_rows(self.template, self.tokenizer, [text])[0])

    def decode(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> tuple[str, ...]:
        """Response text without special tokens."""
        rows = [row[keep].tolist() for row, keep in zip(ids.cpu(), mask.cpu(), strict=True)]
        return tuple(self.tokenizer.decode(row, skip_special_tokens=True) for row in rows)


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


def token_rows(template: Template, tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of each prompt; with a chat template, up to and with what opens the assistant's answer.

    Raises:
        DataError: the tokenizer's chat template refuses a prompt's messages.
    """
    if template == "plain":
        return [tokenizer(prompt)["input_ids"] for prompt in prompts]
    # The template has written the special tokens already.
    return [tokenizer(chat(template, tokenizer, prompt), add_special_tokens=False)["input_ids"] for prompt in prompts]


def chat(template: Template, tokenizer: Any, prompt: str) -> str:
    """The prompt as the tokenizer's chat template writes it."""
    try:
        return str(
            tokenizer.apply_chat_template(messages(template, prompt), tokenize=False, add_generation_prompt=True)
        )
    except TemplateError as error:
        raise DataError(
            f"prompts must suit the policy's chat template (policy.prompt_template={template}), and it refuses "
            f"{prompt[:80]!r}: {error}; use policy.prompt_template=plain, or leave that prompt out"
        ) from error
