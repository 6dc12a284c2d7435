"""Which pairs the command line's lessons learn from, in which order, and which are kept back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from safelab.errors import DataError
from safelab.maths.filled import filled
from safelab.maths.seeds import numpy_generator
from safelab.supervised.loop import Lesson, Recipe, learn
from safelab.supervised.options import PairOptions, SupervisedOptions
from safelab.supervised.rows import cut
from safelab.types import Pair

T = TypeVar("T")


class PairLesson(Lesson[Pair], Protocol):
    """What is learnt from pairs of text, and how it is measured."""

    def read(self, pair: Pair) -> None:
        """Raises a DataError for a pair that it cannot learn from."""

    def lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Tokens that each pair puts through the model."""

    def measure(self, pieces: Iterable[Sequence[Pair]]) -> dict[str, float]:
        """What it is worth on pairs that it has not seen, as they go through the model together."""


def split(pairs: Sequence[T], options: PairOptions) -> tuple[Sequence[T], Sequence[T]]:
    """Those to learn from and those that are kept back, the last ones.

    Raises:
        DataError: nothing is left to learn from, or less than ``learn_from``.
    """
    kept = pairs[: options.limit]
    if len(kept) <= options.held_out:
        raise DataError(
            f"pairs must leave some to learn from, got {len(kept)} records with pairs.held_out={options.held_out}"
        )
    learnt = kept[: -options.held_out]
    if options.learn_from is not None and len(learnt) < options.learn_from:
        raise DataError(f"pairs.learn_from must be at most the {len(learnt)} not kept back, got {options.learn_from}")
    return learnt[: options.learn_from], kept[-options.held_out :]


def learn_from_pairs(
    lesson: PairLesson, pairs: Sequence[Pair], options: SupervisedOptions, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """``epochs`` times over ``pairs`` in an order that the seed gives; what it returns and raises: see ``learn``."""
    batches = list(batches_of(pairs, options))
    recipe = Recipe(
        steps=len(batches),
        warmup_steps=round(options.warmup_share * len(batches)),
        lr=options.lr,
        weight_decay=options.weight_decay,
        max_grad_norm=options.max_grad_norm,
    )
    return learn(lesson, batches, recipe, say, lambda batch: pieces_of(lesson, batch, options))


def pieces_of(lesson: PairLesson, pairs: Sequence[Pair], options: SupervisedOptions) -> list[Sequence[Pair]]:
    """Neighbours that go through the model together: see ``micro_batch_size`` and ``micro_batch_tokens``."""
    size, tokens = options.micro_batch_size or len(pairs), options.micro_batch_tokens
    if tokens is None:
        return [*cut(pairs, size)]
    return [pairs[piece] for piece in filled(lesson.lengths(pairs), size, tokens)]


def batches_of(pairs: Sequence[Pair], options: SupervisedOptions) -> Iterator[list[Pair]]:
    """Every pair once per epoch."""
    for epoch in range(options.epochs):
        order = numpy_generator(options.seed, "supervised", epoch).permutation(len(pairs)).tolist()
        yield from cut([pairs[index] for index in order], options.batch_size)
