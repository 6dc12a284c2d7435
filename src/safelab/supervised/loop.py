"""Supervised training on preference pairs: what is asked for, and the way over the batches, whatever is learnt."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from safelab.corpus.dialogue import Template
from safelab.errors import DataError, RunFailed
from safelab.maths.seeds import numpy_generator
from safelab.options import Options
from safelab.types import Pair


class PairOptions(Options):
    """``path``: a file, or a data set of the hub with ``subset`` and ``split``; see ``data=hh_rlhf``.

    ``limit``: only the first records, null for all. ``held_out``: of these the last ones are measured on.
    """

    path: str
    subset: str
    split: Literal["train", "test"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=2)]


class SupervisedOptions(Options):
    """``model``: where from. ``output``: where to. Batches count pairs; ``micro_batch_size`` moves no number."""

    model: str
    output: str
    seed: Annotated[int, Field(ge=0)]
    device: str
    threads: Annotated[int, Field(ge=1)]
    pairs: PairOptions
    dtype: Literal["float32", "bfloat16"]
    max_tokens: Annotated[int, Field(ge=2)]
    lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    micro_batch_size: Annotated[int, Field(ge=1)]


class RewardModelOptions(SupervisedOptions):
    """``template``: how prompt and answer become the text that is read; see ``reward=sequence_classifier``."""

    template: Template


class Task(Protocol):
    """What is learnt from pairs. A loss is a sum and the count that it is to be divided by."""

    model: nn.Module

    def count(self, pairs: Sequence[Pair]) -> int:
        """What the loss of ``pairs`` is averaged over: tokens, or pairs."""

    def loss_sum(self, pairs: Sequence[Pair]) -> Tensor:
        """Not yet averaged; a scalar that carries gradient."""

    def measure(self, pairs: Sequence[Pair], size: int) -> dict[str, float]:
        """What it is worth on pairs that it has not seen."""


def split(pairs: Sequence[Pair], options: PairOptions) -> tuple[Sequence[Pair], Sequence[Pair]]:
    """Those to learn from and those that are kept back, the last ones.

    Raises:
        DataError: nothing is left to learn from.
    """
    kept = pairs[: options.limit]
    if len(kept) <= options.held_out:
        raise DataError(
            f"pairs must leave some to learn from, got {len(kept)} records with pairs.held_out={options.held_out}"
        )
    return kept[: -options.held_out], kept[-options.held_out :]


def learn(
    task: Task, pairs: Sequence[Pair], options: SupervisedOptions, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """AdamW over all weights, ``epochs`` times over ``pairs`` in an order that the seed gives; ends in ``eval`` mode.

    Returns:
        Loss and gradient norm of each step.

    Raises:
        RunFailed: a loss is not finite.
    """
    weights = [weight for weight in task.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.lr, weight_decay=options.weight_decay, foreach=True)
    batches = list(batches_of(pairs, options))
    warmup = round(options.warmup_share * len(batches))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: slope(step, warmup, len(batches)))
    rows = []
    task.model.train()
    for step, batch in enumerate(batches, start=1):
        total, loss = task.count(batch), 0.0
        for start in range(0, len(batch), options.micro_batch_size):
            part = task.loss_sum(batch[start : start + options.micro_batch_size]) / total
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        norm = float(torch.nn.utils.clip_grad_norm_(weights, options.max_grad_norm))
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            raise RunFailed(f"step {step}: loss must be finite, got {loss} (gradient norm {norm}); lower lr")
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        rows.append({"step": step, "loss": loss, "grad_norm": norm})
        say(f"step {step} of {len(batches)}, loss {loss:.3f}")
    task.model.eval()
    return rows


def batches_of(pairs: Sequence[Pair], options: SupervisedOptions) -> Iterator[list[Pair]]:
    """Every pair once per epoch."""
    for epoch in range(options.epochs):
        order = numpy_generator(options.seed, "supervised", epoch).permutation(len(pairs)).tolist()
        for start in range(0, len(order), options.batch_size):
            yield [pairs[index] for index in order[start : start + options.batch_size]]


def slope(step: int, warmup: int, steps: int) -> float:
    """Share of the highest learning rate: up to 1 in ``warmup`` steps, then down to 0 at ``steps``, both straight."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (steps - step) / max(1, steps - warmup))
