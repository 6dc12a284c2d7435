"""DVPO's stage 1 as a loss on preference pairs: a value after every token, which is told the answer's label.

    loss = mean over states of 0.5 (V - y)^2,   y = 1 for the states of a better answer, -1 for those of a worse one

An answer of n tokens, its end token included, has n + 1 states: the prompt's end, and where each token has just been
written. Both answers of a pair begin in the same first state, whose value therefore tends to 0.

Deviation: see ``world.value_model``.
Ref: DVPO, arXiv 2502.16944, stage 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.maths.masked import masked_sum, sequence_mean
from safelab.supervised.pair_tasks import answer_row
from safelab.types import Pair


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``supervised.Task``: a token classifier with one output."""

    model: Any
    tokenizer: Any
    max_tokens: int

    def count(self, pairs: Sequence[Pair]) -> int:
        """States of both answers."""
        return sum(len(answer) + 1 for _, answer in self._rows(pairs))

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """0.5 (V - y)^2, summed over states."""
        values, states = self.values(pairs)
        label = torch.ones(len(values), 1, device=values.device)
        label[len(pairs) :] = -1.0
        return masked_sum(0.5 * (values - label).square(), states)

    def values(self, pairs: Sequence[Pair]) -> tuple[Float[Tensor, "b2 s"], Bool[Tensor, "b2 s"]]:
        """V after every token, first of the better answers, then of the worse; and which of them are states."""
        rows = self._rows(pairs)
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids, states = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.bool)
        for index, (prompt, answer) in enumerate(rows):
            end = len(prompt) + len(answer)
            ids[index, :end] = torch.tensor(prompt + answer)
            states[index, len(prompt) - 1 : end] = True
        device = next(self.model.parameters()).device
        # Padding on the right needs no attention mask: a causal model does not look there.
        values = self.model(input_ids=ids.to(device), use_cache=False).logits[..., 0].float()
        return values, states.to(device)

    @torch.no_grad()
    def measure(self, pairs: Sequence[Pair], size: int) -> dict[str, float]:
        """Share of pairs whose better answer has the higher value (a tie counts half), and the loss per state.

        ``accuracy_last_held_out``: by the value after the last token, with ``accuracy_half_width_95``.
        ``accuracy_mean_held_out``: by the mean over an answer's states.
        """
        last: list[float] = []
        mean: list[float] = []
        loss = 0.0
        for start in range(0, len(pairs), size):
            piece = pairs[start : start + size]
            values, states = self.values(piece)
            ends = states.sum(dim=1) + states.int().argmax(dim=1) - 1
            last += _margins(values.gather(1, ends[:, None])[:, 0])
            mean += _margins(sequence_mean(values, states))
            loss += float(self.loss_sum(piece))
        accuracy = _accuracy(last)
        return {
            "accuracy_last_held_out": accuracy,
            "accuracy_half_width_95": 1.96 * (accuracy * (1 - accuracy) / len(pairs)) ** 0.5,
            "accuracy_mean_held_out": _accuracy(mean),
            "loss_held_out": loss / self.count(pairs),
        }

    def _rows(self, pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
        answers = [(pair.prompt, pair.chosen) for pair in pairs] + [(pair.prompt, pair.rejected) for pair in pairs]
        return [answer_row(self.tokenizer, prompt, answer, self.max_tokens) for prompt, answer in answers]


def _margins(value_seq: Float[Tensor, "b2"]) -> list[float]:
    better, worse = value_seq.chunk(2)
    margins: list[float] = (better - worse).tolist()
    return margins


def _accuracy(margins: Sequence[float]) -> float:
    return fmean((margin > 0) + 0.5 * (margin == 0) for margin in margins)
