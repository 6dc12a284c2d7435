"""Rows of tokens through a model without padding: what its head reads of each.

A row is a prompt and what follows it. Rows with one prompt read it once where the model reads a stream.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from safelab.pretrained.heads import backbone, head_of
from safelab.pretrained.ragged.layout import lay_out
from safelab.pretrained.ragged.stream import Way, read_stream

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class RowReader:
    """``module``: of ``transformers``; its head may read states by themselves. ``way``: see there; never ``padded``."""

    module: Any
    way: Way

    @property
    def head(self) -> nn.Module:
        """The map from a state to logits."""
        head = head_of(self.module)
        assert head is not None
        return head

    def states(self, rows: Sequence[tuple[Tokens, Tokens]]) -> list[Float[Tensor, "_ d"]]:
        """Last hidden states of each row: at its prompt's end, then after each token that follows.

        The first is not to be read of a row without a prompt.
        """
        order = neighbours([prompt for prompt, _ in rows])
        prompts, rests = [rows[row][0] for row in order], [rows[row][1] for row in order]
        # Whether the row before has read the prompt.
        again = [self.way == "stream" and now == before for before, now in pairwise([None, *prompts])]
        tokens = [
            rest if known else [*prompt, *rest] for prompt, rest, known in zip(prompts, rests, again, strict=True)
        ]
        width, columns = max(map(len, prompts)), max(map(len, rests))
        layout = lay_out([*map(len, prompts)], [*map(len, rests)], again, width, columns)
        device = self.module.device
        ids = torch.tensor([token for row in tokens for token in row], device=device)
        hidden = read_stream(backbone(self.module), ids, layout, self.way, self.module.dtype)
        counts = [len(rest) + 1 for rest in rests]
        read = np.concatenate([places[:count] for places, count in zip(layout.outputs, counts, strict=True)])
        found = dict(zip(order, torch.split(hidden[torch.from_numpy(read).to(device)], counts), strict=True))
        return [found[row] for row in range(len(rows))]

    def last_logits(self, texts: Sequence[Tokens], groups: Sequence[Hashable]) -> Float[Tensor, "b k"]:
        """The head's output at the last token of each text, as ``transformers``' classifiers read it.

        Args:
            texts: tokens, without padding.
            groups: texts of one group read once what all of them begin with.
        """
        # They pass over padding tokens at the end, and read an empty text as one.
        padding = self.module.config.get_text_config().pad_token_id
        rows = begun_alike([until_last_other(text, padding) or [padding] for text in texts], groups)
        return self.head(torch.stack([states[-1] for states in self.states(rows)]))  # type: ignore[no-any-return]


def neighbours(prompts: Sequence[Tokens]) -> list[int]:
    """The rows in an order in which those with one prompt are neighbours."""
    first: dict[tuple[int, ...], int] = {}
    for row, prompt in enumerate(prompts):
        first.setdefault(tuple(prompt), row)
    return sorted(range(len(prompts)), key=lambda row: first[tuple(prompts[row])])


def begun_alike(texts: Sequence[Tokens], groups: Sequence[Hashable]) -> list[tuple[Tokens, Tokens]]:
    """Each text in two: what all texts of its group begin with, and the rest."""
    members: dict[Hashable, list[Tokens]] = {}
    for text, group in zip(texts, groups, strict=True):
        members.setdefault(group, []).append(text)
    shared = {group: common(own) for group, own in members.items()}
    return [(text[: shared[group]], text[shared[group] :]) for text, group in zip(texts, groups, strict=True)]


def common(texts: Sequence[Tokens]) -> int:
    """How many tokens all of them begin with."""
    places = takewhile(lambda tokens: len({*tokens}) == 1, zip(*texts, strict=False))
    return sum(1 for _ in places)


def until_last_other(text: Tokens, padding: int) -> Tokens:
    """Without the padding tokens at the end."""
    end = len(text)
    while end and text[end - 1] == padding:
        end -= 1
    return text[:end]
