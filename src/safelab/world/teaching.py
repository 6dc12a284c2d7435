"""How the world's three models are taught: what the one loop of ``supervised`` is told."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from safelab.supervised.loop import Lesson, Recipe, learn
from safelab.supervised.rows import cut
from safelab.world.options import ValueModelOptions, WorldRewardModelOptions

Item = TypeVar("Item")
Progress = Callable[[str], None]

MAX_GRAD_NORM = 1.0
REPORTS = 20
"""Lines of progress of one training."""


def teach(
    lesson: Lesson[Item],
    batches: Iterable[Sequence[Item]],
    lr: float,
    warmup_steps: int,
    steps: int,
    progress: Progress,
) -> None:
    """``learn`` as the world does it: every batch in one pass, no weight decay.

    Raises:
        RunFailed: a loss is not finite.
    """
    recipe = Recipe(
        steps=steps,
        warmup_steps=warmup_steps,
        lr=lr,
        weight_decay=0.0,
        max_grad_norm=MAX_GRAD_NORM,
        report_every=max(1, steps // REPORTS),
    )
    learn(lesson, batches, recipe, progress)


def teach_epochs(
    lesson: Lesson[Item],
    items: Sequence[Item],
    options: WorldRewardModelOptions | ValueModelOptions,
    rng: random.Random,
    progress: Progress,
) -> None:
    """Every item once per epoch, in a new order each time; a tenth of the steps warm up.

    Raises:
        RunFailed: a loss is not finite.
    """
    batches = list(shuffled(items, options.epochs, options.batch_size, rng))
    teach(lesson, batches, options.lr, len(batches) // 10, len(batches), progress)


def shuffled(items: Sequence[Item], epochs: int, size: int, rng: random.Random) -> Iterator[list[Item]]:
    """Batches of ``size``, every item once per epoch."""
    for _ in range(epochs):
        # Sorted by random numbers: Python fixes the sequence of random() for good, but not that of shuffle().
        order = sorted(range(len(items)), key=lambda _: rng.random())
        yield from cut([items[index] for index in order], size)


def titled(title: str, progress: Progress) -> Progress:
    """Progress that says whose it is."""
    return lambda text: progress(f"{title}: {text}")
