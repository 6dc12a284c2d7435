"""The stages before RLHF as losses on preference pairs: supervised fine-tuning, and a Bradley-Terry reward model.

    sft:            loss = - mean over the tokens of the better answers of log pi(y_t | x, y_<t)
    reward model:   loss = - mean over pairs of log sigmoid(z_chosen - z_rejected)

Ref: Ouyang et al. 2022, arXiv 2203.02155, sections 3.5 and eq. 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from safelab.corpus.dialogue import Template, texts, tokenise
from safelab.types import Pair

IGNORED = -100
"""Label of a position that the loss leaves out."""


@dataclass(frozen=True, slots=True)
class Sft:
    """``supervised.Task``: a causal model learns the better answers; prompts carry no loss, the end token does."""

    model: Any
    tokenizer: Any
    max_tokens: int

    def count(self, pairs: Sequence[Pair]) -> int:
        """Answer tokens."""
        return sum(len(answer) for _, answer in map(self._row, pairs))

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """Negative log-probability of the answers, in nats."""
        rows = [self._row(pair) for pair in pairs]
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        labels = torch.full((len(rows), width), IGNORED)
        for index, (prompt, answer) in enumerate(rows):
            end = len(prompt) + len(answer)
            ids[index, :end] = torch.tensor(prompt + answer)
            labels[index, len(prompt) : end] = torch.tensor(answer)
        device = next(self.model.parameters()).device
        # Padding on the right needs no attention mask: a causal model does not look there.
        logits = self.model(input_ids=ids.to(device), use_cache=False).logits[:, :-1].float()
        return functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten().to(device), ignore_index=IGNORED, reduction="sum"
        )

    @torch.no_grad()
    def measure(self, pairs: Sequence[Pair], size: int) -> dict[str, float]:
        """``loss_held_out``: nats per answer token."""
        total = sum(float(self.loss_sum(pairs[start : start + size])) for start in range(0, len(pairs), size))
        return {"loss_held_out": total / self.count(pairs)}

    def _row(self, pair: Pair) -> tuple[list[int], list[int]]:
        return answer_row(self.tokenizer, pair.prompt, pair.chosen, self.max_tokens)


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """``supervised.Task``: a classifier with one output learns to score the better answer higher."""

    model: Any
    tokenizer: Any
    max_tokens: int
    template: Template

    def count(self, pairs: Sequence[Pair]) -> int:
        """Pairs."""
        return len(pairs)

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """-log sigmoid(z_chosen - z_rejected), summed."""
        return -functional.logsigmoid(self.margins(pairs)).sum()

    def margins(self, pairs: Sequence[Pair]) -> Float[Tensor, "b"]:
        """z_chosen - z_rejected of each pair, from one pass over both answers."""
        prompts = [pair.prompt for pair in pairs]
        answers = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        shown = texts(self.template, self.tokenizer, prompts + prompts, answers)
        device = next(self.model.parameters()).device
        inputs = tokenise(self.template, self.tokenizer, shown, self.max_tokens).to(device)
        chosen, rejected = self.model(**inputs).logits[:, 0].float().chunk(2)
        margins: Tensor = chosen - rejected
        return margins

    @torch.no_grad()
    def measure(self, pairs: Sequence[Pair], size: int) -> dict[str, float]:
        """``accuracy_held_out`` (a tie counts half), ``accuracy_half_width_95`` of it, ``loss_held_out``."""
        margins = torch.cat([self.margins(pairs[start : start + size]) for start in range(0, len(pairs), size)])
        accuracy = float((margins.sign().mean() + 1) / 2)
        return {
            "accuracy_held_out": accuracy,
            "accuracy_half_width_95": 1.96 * (accuracy * (1 - accuracy) / len(margins)) ** 0.5,
            "loss_held_out": float(-functional.logsigmoid(margins).mean()),
        }


def answer_row(tokenizer: Any, prompt: str, answer: str, max_tokens: int) -> tuple[list[int], list[int]]:
    """Ids of prompt and answer, cut so that at least one token of the prompt and the answer's beginning stay.

    The end token follows the answer, where the cut leaves room for it.
    """
    start = tokenizer(prompt)["input_ids"]
    rest = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id][: max_tokens - 1]
    return start[-(max_tokens - len(rest)) :], rest
