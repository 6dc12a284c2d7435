"""A reward model as Bradley and Terry have it: the better answer is to have the higher score z.

    loss = - mean over pairs of log sigmoid(z_chosen - z_rejected)

Ref: Ouyang et al. 2022, arXiv 2203.02155, eq. 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.corpus.dialogue import Template, padded, texts, tokenise
from safelab.maths.preference import accuracy, logistic_loss, margin_of_halves
from safelab.maths.shares import wilson
from safelab.maths.wide import wide
from safelab.pretrained.ragged.row_states import RowReader
from safelab.supervised.rows import of_pairs
from safelab.types import Pair


def bradley_terry_loss(z_margin: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    """``-log sigmoid(z_chosen - z_rejected)`` of each pair; log 2 where both are equal."""
    return logistic_loss(z_margin, label_smoothing=0.0)


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """``supervised.PairLesson``: a classifier with one output learns to score the better answer higher.

    ``reader``: reads it without padding, None where it is read padded.
    """

    model: Any
    tokenizer: Any
    max_tokens: int
    template: Template
    reader: RowReader | None

    def read(self, pair: Pair) -> None:
        """Refuse a pair whose prompt the chat template refuses."""
        texts(self.template, self.tokenizer, [pair.prompt], [pair.chosen], "template")

    def lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Tokens of both texts of each pair; what they begin with alike is counted twice."""
        return of_pairs([len(row) for row in self._rows(pairs)])

    def count(self, pairs: Sequence[Pair]) -> int:
        """Pairs."""
        return len(pairs)

    def loss_sum(self, pairs: Sequence[Pair]) -> Float[Tensor, ""]:
        """-log sigmoid(z_chosen - z_rejected), summed."""
        return bradley_terry_loss(self.margins(pairs)).sum()

    def margins(self, pairs: Sequence[Pair]) -> Float[Tensor, "b"]:
        """z_chosen - z_rejected of each pair, from one pass over both answers."""
        return margin_of_halves(self._scores(pairs))

    @torch.no_grad()
    def measure(self, pieces: Iterable[Sequence[Pair]]) -> dict[str, float]:
        """``accuracy_held_out`` (a tie counts half), its 95 % interval, ``loss_held_out``, and where scores lie.

        A Bradley-Terry model has no zero of its own: ``score_mean_held_out`` and ``score_sd_held_out``, of both answers
        of each pair, bring the members of an ensemble to one scale.
        """
        scores = [self._scores(piece) for piece in pieces]
        margins, every = torch.cat([margin_of_halves(piece) for piece in scores]), torch.cat(scores)
        share = accuracy(margins)
        low, high = wilson(share, len(margins))
        return {
            "accuracy_held_out": share,
            "accuracy_low_95": low,
            "accuracy_high_95": high,
            "loss_held_out": float(bradley_terry_loss(margins).mean()),
            "score_mean_held_out": float(every.mean()),
            "score_sd_held_out": float(wide(every).std()),
        }

    def _scores(self, pairs: Sequence[Pair]) -> Float[Tensor, "twice_b"]:
        """Scores of the better answers, then of the worse."""
        rows = self._rows(pairs)
        if self.reader is None:
            logits = self.model(**padded(self.tokenizer, rows).to(self.model.device)).logits
        else:
            logits = self.reader.last_logits(rows, groups=[pair.prompt for pair in pairs] * 2)
        scores: Tensor = logits[:, 0].float()
        return scores

    def _rows(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """The texts with the better answers as tokens, then those with the worse."""
        prompts = [pair.prompt for pair in pairs] * 2
        answers = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        shown = texts(self.template, self.tokenizer, prompts, answers, "template")
        return tokenise(self.template, self.tokenizer, shown, self.max_tokens)
