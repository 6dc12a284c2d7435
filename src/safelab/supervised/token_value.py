"""DVPO's stage 1: a value V after every token of an answer, which is told the answer's label.

    loss = mean over states of 0.5 (V - y)^2,   y = 1 for the states of a better answer, -1 for those of a worse one

An answer of n tokens, its end token included, has n + 1 states: the prompt's end, and where each token has just been
written. Both answers of a pair begin in the same first state, whose value therefore tends to 0.

Deviation: the target is the label itself (the return at discount 1); the paper's is one step of temporal difference,
whose fixed point is the same, the authors' code has GAE's return with trace decay 0.95.
Ref: DVPO, arXiv 2502.16944, stage 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from safelab.maths.masked import masked_sum, sequence_mean
from safelab.maths.preference import accuracy, margin_of_halves
from safelab.maths.shares import wilson
from safelab.pretrained.ragged.row_states import RowReader
from safelab.supervised.rows import Reading, Row, ids_of, of_pairs
from safelab.types import Pair


def state_values(model: Any, rows: Sequence[Row]) -> tuple[Float[Tensor, "b s"], Bool[Tensor, "b s"]]:
    """V after every token of prompts and answers, and which of these are states of the answer; carries gradient."""
    ids = ids_of(rows)
    column = torch.arange(ids.shape[1])
    first = torch.tensor([len(row.prompt) - 1 for row in rows])
    end = torch.tensor([len(row.prompt) + len(row.answer) for row in rows])
    states = (column >= first[:, None]) & (column < end[:, None])
    values = model(input_ids=ids.to(model.device), use_cache=False).logits[..., 0].float()
    return values, states.to(values.device)


def read_state_values(reader: RowReader, rows: Sequence[Row]) -> tuple[Float[Tensor, "b t1"], Bool[Tensor, "b t1"]]:
    """The same without padding, of the states of the answers only."""
    states = reader.states(rows)
    counts = [len(each) for each in states]
    values = reader.head(torch.cat(states))[:, 0].float().split(counts)
    column = torch.arange(max(counts), device=values[0].device)
    return pad_sequence(values, batch_first=True), column < torch.tensor(counts, device=column.device)[:, None]


def state_count(rows: Sequence[Row]) -> int:
    """States of the answers."""
    return sum(len(row.answer) + 1 for row in rows)


def value_loss_sum(model: Any, rows: Sequence[Row], labels: Sequence[float]) -> Float[Tensor, ""]:
    """0.5 (V - y)^2, summed over the states of answers with these labels."""
    return squares_sum(*state_values(model, rows), labels)


def squares_sum(
    values: Float[Tensor, "b s"], states: Bool[Tensor, "b s"], labels: Sequence[float]
) -> Float[Tensor, ""]:
    """The same of values that are there already."""
    label = torch.tensor(labels, device=values.device).unsqueeze(1)
    return masked_sum(0.5 * (values - label).square(), states)


def last_value(values: Float[Tensor, "b s"], states: Bool[Tensor, "b s"]) -> Float[Tensor, "b"]:
    """The value after each answer's last token."""
    last = states.sum(dim=1) + states.int().argmax(dim=1) - 1
    return values.gather(1, last[:, None])[:, 0]


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``supervised.PairLesson``: a token classifier with one output.

    ``reader``: reads it without padding, None where it is read padded.
    """

    model: Any
    reading: Reading
    reader: RowReader | None

    @property
    def tokenizer(self) -> Any:
        """The model's."""
        return self.reading.tokenizer

    def read(self, pair: Pair) -> None:
        """Refuse a pair whose prompt has no token, or whose messages the chat template refuses."""
        self.reading.row(pair.prompt, pair.chosen)

    def lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Tokens of each prompt with the one answer and with the other."""
        return of_pairs([len(row.prompt) + len(row.answer) for row in self._rows(pairs)])

    def count(self, pairs: Sequence[Pair]) -> int:
        """States of both answers."""
        return state_count(self._rows(pairs))

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """0.5 (V - y)^2, summed over states."""
        return squares_sum(*self.values(pairs), [1.0] * len(pairs) + [-1.0] * len(pairs))

    def values(self, pairs: Sequence[Pair]) -> tuple[Float[Tensor, "b2 s"], Bool[Tensor, "b2 s"]]:
        """V after tokens, first of the better answers, then of the worse; and which of them are an answer's states."""
        rows = self._rows(pairs)
        return state_values(self.model, rows) if self.reader is None else read_state_values(self.reader, rows)

    @torch.no_grad()
    def measure(self, pieces: Iterable[Sequence[Pair]]) -> dict[str, float]:
        """Share of pairs whose better answer has the higher value (a tie counts half), and the loss per state.

        ``accuracy_last_held_out``: by the value after the last token, with its 95 % interval.
        ``accuracy_mean_held_out``: by the mean over an answer's states.
        """
        last, mean, loss, count = [], [], 0.0, 0
        for piece in pieces:
            values, states = self.values(piece)
            last.append(margin_of_halves(last_value(values, states)))
            mean.append(margin_of_halves(sequence_mean(values, states)))
            loss += float(squares_sum(values, states, [1.0] * len(piece) + [-1.0] * len(piece)))
            count += int(states.sum())
        margins = torch.cat(last)
        share = accuracy(margins)
        low, high = wilson(share, len(margins))
        return {
            "accuracy_last_held_out": share,
            "accuracy_low_95": low,
            "accuracy_high_95": high,
            "accuracy_mean_held_out": accuracy(torch.cat(mean)),
            "loss_held_out": loss / count,
        }

    def _rows(self, pairs: Sequence[Pair]) -> list[Row]:
        """The better answers, then the worse."""
        answers = [(pair.prompt, pair.chosen) for pair in pairs] + [(pair.prompt, pair.rejected) for pair in pairs]
        return [self.reading.row(prompt, answer) for prompt, answer in answers]
