"""Supervised fine-tuning: a causal model learns to write given answers.

    loss = - mean over the tokens of the answers of log pi(y_t | x, y_<t)

Prompts carry no loss, the end token does.
Ref: Ouyang et al. 2022, arXiv 2203.02155, section 3.5.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from safelab.pretrained.ragged.row_states import RowReader
from safelab.supervised.rows import Reading, Row, ids_of, pad_right
from safelab.types import Pair

IGNORED = -100
"""Label of a position that the loss leaves out."""


def answer_loss_sum(model: Any, rows: Sequence[Row]) -> Float[Tensor, ""]:
    """Negative log-probability of the answers, summed over their tokens, in nats."""
    ids, labels = ids_of(rows).to(model.device), answer_labels(rows).to(model.device)
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    return functional.cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )


def read_answer_loss_sum(reader: RowReader, rows: Sequence[Row]) -> Float[Tensor, ""]:
    """The same without padding; the head maps the states that predict the answers only."""
    states = torch.cat([each[:-1] for each in reader.states(rows)])
    answers = torch.tensor([token for row in rows for token in row.answer], device=states.device)
    return functional.cross_entropy(reader.head(states).float(), answers, reduction="sum")


def answer_labels(rows: Sequence[Row]) -> Int[Tensor, "b s"]:
    """The token numbers of ``ids_of``, but ``IGNORED`` where there is no answer."""
    return pad_right([[IGNORED] * len(row.prompt) + row.answer for row in rows], IGNORED)


def answer_count(rows: Sequence[Row]) -> int:
    """Tokens of the answers."""
    return sum(len(row.answer) for row in rows)


@dataclass(frozen=True, slots=True)
class Sft:
    """``supervised.PairLesson``: the model learns the better answers.

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
        """Tokens of each prompt and its better answer."""
        return [len(row.prompt) + len(row.answer) for row in self._rows(pairs)]

    def count(self, pairs: Sequence[Pair]) -> int:
        """Answer tokens."""
        return answer_count(self._rows(pairs))

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """Negative log-probability of the better answers, in nats."""
        rows = self._rows(pairs)
        return answer_loss_sum(self.model, rows) if self.reader is None else read_answer_loss_sum(self.reader, rows)

    @torch.no_grad()
    def measure(self, pieces: Iterable[Sequence[Pair]]) -> dict[str, float]:
        """``loss_held_out``: nats per answer token."""
        sums = [(float(self.loss_sum(piece)), self.count(piece)) for piece in pieces]
        return {"loss_held_out": sum(loss for loss, _ in sums) / sum(count for _, count in sums)}

    def _rows(self, pairs: Sequence[Pair]) -> list[Row]:
        return [self.reading.row(pair.prompt, pair.chosen) for pair in pairs]
